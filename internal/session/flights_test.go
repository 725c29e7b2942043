package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"time"
)

// turns counts how often a client speaks after it has listened.
type turns struct {
	mu    sync.Mutex
	n     int
	spoke bool
}

type turnConn struct {
	net.Conn
	t *turns
}

func (c turnConn) Write(p []byte) (int, error) {
	c.t.mu.Lock()
	if !c.t.spoke {
		c.t.n, c.t.spoke = c.t.n+1, true
	}
	c.t.mu.Unlock()
	return c.Conn.Write(p)
}

func (c turnConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.t.mu.Lock()
	c.t.spoke = false
	c.t.mu.Unlock()
	return n, err
}

// TestFlights counts the round trips from the dialling to the roster, by direct TLS 1.3.
func TestFlights(t *testing.T) {
	for name, c := range map[string]struct {
		f    *fake
		want int
	}{
		"RFC 6120": {&fake{direct: true}, 6},
		"token": {(&fake{direct: true}).modern(&sasl2{
			inline: inlineFAST("HT-SHA-256-NONE"), success: boundAll + givenToken("two"), token: "one",
		}), 4},
		"SASL2": {(&fake{direct: true}).modern(&sasl2{inline: inlineAll, success: boundAll}), 5},
	} {
		t.Run(name, func(t *testing.T) {
			// The presence is kept back: it may go out with the request for the roster or after.
			c.f.script = withRoster(c.f.script)
			count := &turns{}
			c.f.start(t)
			kept := &memory{t: &Token{
				Secret: "one", Mechanism: "HT-SHA-256-NONE", Expires: time.Now().Add(time.Hour), Login: "SCRAM-SHA-256", TLS: tls.VersionTLS13,
				Server: serverKey(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{(&fakeConn{f: c.f}).leaf()}}),
			}}
			c.f.online(t, func(s *Session) {
				s.cfg.Hidden, s.cfg.UserAgent, s.cfg.Tokens = true, agentID, kept
				dial := s.dial
				s.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := dial(ctx, network, address)
					return turnConn{conn, count}, err
				}
			})
			count.mu.Lock()
			defer count.mu.Unlock()
			if got := 1 + count.n; got != c.want { // one for TCP
				t.Errorf("%d round trips, want %d", got, c.want)
			}
		})
	}
}

// withRoster adds a server that answers the request for the roster and awaits no presence.
func withRoster(script map[string]func(*fakeConn) bool) map[string]func(*fakeConn) bool {
	if script == nil {
		script = map[string]func(*fakeConn) bool{}
	}
	script["roster"] = func(c *fakeConn) bool {
		iq := c.hear()
		if iq == nil {
			return true
		}
		c.stanza("<iq type='result' id='" + iq.Attr("id") + "'><query xmlns='jabber:iq:roster'/></iq>")
		return false
	}
	return script
}
