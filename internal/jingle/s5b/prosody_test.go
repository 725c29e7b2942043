package s5b

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// client is an account online with the least that this needs: it sends an iq
// and reads until the answer, one at a time.
type client struct {
	self jid.JID

	mu   sync.Mutex
	conn net.Conn
	in   *xml.Decoder
	last int
}

// logIn opens a stream over direct TLS and binds a resource.
func logIn(t *testing.T, addr string, roots *x509.CertPool, self jid.JID, password string) *client {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: self.Domain(), MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(limit))
	c := &client{self: self, conn: conn}
	c.open(t)
	secret := base64.StdEncoding.EncodeToString([]byte("\x00" + self.Local() + "\x00" + password))
	_, _ = fmt.Fprintf(conn, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", secret)
	if e, err := c.next(); err != nil || e.Name.Local != "success" {
		t.Fatalf("log in as %s: %v, %v", self, e, err)
	}
	c.open(t)
	const bind = "urn:ietf:params:xml:ns:xmpp-bind"
	q := xmltree.New(bind, "bind", xmltree.New(bind, "resource").SetText(self.Resource()))
	if e, err := c.IQ(t.Context(), jid.JID{}, stanza.Set, q); err != nil || e.ChildText(bind, "jid") != self.String() {
		t.Fatalf("bind %s: %v, %v", self, e, err)
	}
	return c
}

// open begins a stream and reads the features.
func (c *client) open(t *testing.T) {
	t.Helper()
	c.in = xml.NewDecoder(c.conn)
	_, _ = fmt.Fprintf(c.conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "+
		"xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>", c.self.Domain())
	for {
		tok, err := c.in.Token()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "stream" {
			break
		}
	}
	if e, err := c.next(); err != nil || e.Name.Local != "features" {
		t.Fatalf("features: %v, %v", e, err)
	}
}

// next reads a top-level element.
func (c *client) next() (*xmltree.Element, error) {
	for {
		tok, err := c.in.Token()
		if err != nil {
			return nil, err
		}
		if s, ok := tok.(xml.StartElement); ok {
			return xmltree.Decode(c.in, s)
		}
	}
}

func (c *client) IQ(_ context.Context, to jid.JID, typ stanza.IQType, q *xmltree.Element) (*xmltree.Element, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	iq := xmltree.New("jabber:client", "iq", q).Set("type", string(typ)).Set("id", strconv.Itoa(c.last))
	if !to.IsZero() {
		iq.Set("to", to.String())
	}
	_ = c.conn.SetDeadline(time.Now().Add(limit))
	if _, err := c.conn.Write(iq.Append(nil, "jabber:client")); err != nil {
		return nil, err
	}
	for {
		e, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case e.Name.Local != "iq" || e.Attr("id") != strconv.Itoa(c.last):
		case e.Attr("type") == "error":
			return nil, stanza.ParseError(e.Child("", "error"), to)
		case len(e.Children) == 0:
			return nil, nil
		default:
			return e.Children[0], nil
		}
	}
}

// prosody starts a private server with two clients online.
func prosody(t *testing.T) (s *xmpptest.Server, a, b *client) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	s = xmpptest.Start(t, xmpptest.Options{Accounts: []xmpptest.Account{{User: "romeo", Password: "r"}, {User: "juliet", Password: "j"}}})
	a = logIn(t, s.TLSAddr, s.CA.Pool(), jid.MustParse(s.JID("romeo")+"/orchard"), "r")
	b = logIn(t, s.TLSAddr, s.CA.Pool(), jid.MustParse(s.JID("juliet")+"/balcony"), "j")
	return s, a, b
}

// through connects two clients through the proxy that they find.
func through(t *testing.T, a, b *client) (x, y *Conn) {
	t.Helper()
	var sides [2]*side
	for i, c := range []*client{a, b} {
		server := jid.MustParse(c.self.Domain())
		proxies, err := FindProxies(t.Context(), c, server, nil, nil)
		if err != nil || len(proxies) != 1 {
			t.Fatalf("proxies %v, %v", proxies, err)
		}
		peer := b.self
		if i == 1 {
			peer = a.self
		}
		cfg := Config{NoDirect: true, AllowLoopback: true, Proxies: proxies, Port: c}
		sides[i] = newSide(t, cfg, c.self, peer, i == 0)
	}
	offer := sides[0].n.Element()
	o, p := connect(t, sides[0], sides[1], sides[1].n.Answer(offer), offer)
	if o.err != nil || p.err != nil {
		t.Fatal(o.err, p.err)
	}
	return o.c, p.c
}
