package s5b

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
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
	sid := rand.Text() // a proxy knows a stream by it
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
		n, err := New(t.Context(), cfg, sid, c.self, peer, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		sides[i] = &side{n: fast(n), infos: make(chan *xmltree.Element, 32)}
	}
	offer := sides[0].n.Element()
	o, p := connect(t, sides[0], sides[1], sides[1].n.Answer(offer), offer)
	if o.err != nil || p.err != nil {
		t.Fatal(o.err, p.err)
	}
	return o.c, p.c
}

// The bytes that one side writes to a real proxy before it ends the stream
// arrive at the other, all of them and then the end: also what is no multiple
// of the proxy's buffer, which it keeps without that end.
func TestThroughProsody(t *testing.T) {
	_, a, b := prosody(t)
	for _, size := range []int{0, 1, 5000, 1<<20 + 17} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, from the peer %v", size, back), func(t *testing.T) {
				w, r := through(t, a, b)
				if w.Kind != Mediated || r.Kind != Mediated || w.HalfClose() || w.CID != r.CID {
					t.Errorf("kind %q %q, candidate %q %q", w.Kind, r.Kind, w.CID, r.CID)
				}
				if back {
					w, r = r, w
				}
				want := make([]byte, size)
				_, _ = rand.Read(want)
				sent := make(chan error, 1)
				go func() {
					_, err := w.Write(want)
					sent <- errors.Join(err, w.CloseWrite())
				}()
				_ = r.SetReadDeadline(time.Now().Add(limit))
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Dino writes 16 bytes back at once. A sender that reads them before it ends
// the stream loses nothing.
func TestThroughProsodyWithBytesBack(t *testing.T) {
	_, a, b := prosody(t)
	for _, size := range []int{1, 17, 5000} {
		w, r := through(t, a, b)
		if _, err := r.Write([]byte("0123456789abcdef")); err != nil {
			t.Fatal(err)
		}
		_ = w.SetReadDeadline(time.Now().Add(limit))
		_, werr := w.Write(make([]byte, size))
		_, rerr := io.ReadFull(w, make([]byte, 16))
		if err := errors.Join(werr, rerr, w.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		_ = r.SetReadDeadline(time.Now().Add(limit))
		if got, err := io.ReadAll(r); err != nil || len(got) != size {
			t.Errorf("%d bytes of %d, %v", len(got), size, err)
		}
	}
}

// A real proxy does not activate what the peer is not connected to; that ends
// in a fall-back on both sides.
func TestProsodyRefuses(t *testing.T) {
	_, a, b := prosody(t)
	proxies, err := FindProxies(t.Context(), a, jid.MustParse(a.self.Domain()), nil, nil)
	if err != nil || len(proxies) == 0 {
		t.Fatal(proxies, err)
	}
	s := newSide(t, Config{NoDirect: true, AllowLoopback: true, Proxies: proxies, Port: a}, a.self, b.self, true)
	cid := s.n.own[0].CID
	s.infos <- s.n.usedReport(cid) // which is a lie
	_, err = s.n.Connect(t.Context(), xmltree.New(NS, "transport"), s.infos, s.sender(nil))
	var se *stanza.Error
	if !errors.Is(err, ErrProxy) || !errors.As(err, &se) {
		t.Error(err)
	}
	if got, want := names(s.reports()), []string{"candidate-error", "proxy-error " + cid}; !slices.Equal(got, want) {
		t.Errorf("reported %v", got)
	}
}
