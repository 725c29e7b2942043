package transfer

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestSOCKS5: with a SOCKS5 proxy for the account everything goes through it: the
// stream, the proxies of the server, and every name. Nothing listens, and nothing
// that is sent names an address of this machine.
func TestSOCKS5(t *testing.T) {
	s := prosody(t)
	before := lookups.Load()
	tap, o := xmpptest.StartTap(t, s, xmpptest.Pass), xmpptest.StartOnion(t)
	at := func(name, addr string) string { return name + addr[strings.LastIndex(addr, ":"):] }
	proxyAt := at("proxy.jet.test", s.ProxyAddr)
	hidden := func(user string, receiver bool, report func(event.Event)) *Endpoint {
		return onlineAs(t, s, user, func(c *Config) {
			c.Receiver, c.Report = receiver, report
			c.Session.Server, c.Session.SOCKS5 = at("jet.test", tap.Addr), o.Addr
			c.Session.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != o.Addr {
					t.Errorf("%s dials %s", user, address)
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			c.S5B = route.S5BConfig{Advertise: []string{"here.jet.test"}, Proxies: []string{"proxy.jet.test=" + proxyAt}}
		})
	}
	var in, out events
	juliet, romeo := hidden("juliet", true, in.report), hidden("romeo", false, out.report)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, strings.Repeat("text", 10_000))}}, Wait: time.Minute}

	if err := romeo.Send(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	for who, e := range map[string]*events{"sender": &out, "receiver": &in} {
		if n, _ := last[event.Negotiated](e); n.Transport != route.S5B || n.Candidate != "proxy" {
			t.Errorf("%s: %+v", who, n)
		}
	}
	candidates := offeredCandidates(t, tap)
	for _, c := range candidates {
		if c.Type != s5b.Mediated || c.Host != "proxy.jet.test" {
			t.Errorf("offered %+v", c)
		}
	}
	if len(candidates) == 0 {
		t.Error("nothing was offered")
	}
	if n := lookups.Load() - before; n != 0 {
		t.Errorf("a name server was asked %d times", n)
	}
	if !slices.Contains(o.Asked(), proxyAt) {
		t.Errorf("the proxy of the server was not reached by its name: %v", o.Asked())
	}
}

// TestSOCKS5Down: with no proxy of the server at hand in-band carries the file.
func TestSOCKS5Down(t *testing.T) {
	s := prosody(t)
	o := xmpptest.StartOnion(t)
	var out events
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := onlineAs(t, s, "romeo", func(c *Config) {
		c.Report = out.report
		c.Session.Server, c.Session.SOCKS5 = "jet.test"+s.Addr[strings.LastIndex(s.Addr, ":"):], o.Addr
		c.S5B.Proxies = []string{"proxy.jet.test=127.0.0.1:1"}
	})
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	if err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if n, _ := last[event.Negotiated](&out); n.Transport != route.IBB { // although juliet is at hand, at an address of this machine
		t.Errorf("%+v", n)
	}
}

// offeredCandidates are the candidates in all that clients have sent.
func offeredCandidates(t *testing.T, tap *xmpptest.Tap) (all []s5b.Candidate) {
	t.Helper()
	for _, st := range tap.Stanzas() {
		if st.Dir != xmpptest.ToServer {
			continue
		}
		x, err := xmltree.Parse(st.Raw)
		if err != nil {
			continue
		}
		e := x.Child(jingle.NS, "jingle").Child(jingle.NS, "content").Child(s5b.NS, "transport")
		if transport, err := s5b.ParseTransport(e); err == nil {
			all = append(all, transport.Candidates...)
		}
	}
	return all
}
