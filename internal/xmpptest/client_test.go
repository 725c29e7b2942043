package xmpptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// rawClient is the least client there is: it writes strings and reads top-level
// elements.
type rawClient struct {
	t        *testing.T
	conn     net.Conn
	split    *splitter
	features string // of the stream before SASL
}

// dialRaw opens an encrypted stream up to the SASL offer.
func dialRaw(t *testing.T, s *Server, addr string, direct bool) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(tapTimeout))
	c := &rawClient{t: t, conn: conn, split: newSplitter(bufio.NewReader(conn))}
	if !direct {
		if f := c.open(s.Domain); !strings.Contains(f, "<required/>") {
			t.Fatalf("features before tls: %s", f)
		}
		c.send("<starttls xmlns='%s'/>", nsTLS)
		c.expect("<proceed")
	}
	sec := tls.Client(conn, &tls.Config{RootCAs: s.CA.Pool(), ServerName: s.Domain, MinVersion: tls.VersionTLS12})
	if err := sec.Handshake(); err != nil {
		t.Fatalf("tls with %s: %v", addr, err)
	}
	c.conn, c.split = sec, newSplitter(bufio.NewReader(sec))
	c.features = c.open(s.Domain)
	return c
}

// login authenticates with PLAIN, binds and returns the client.
func login(t *testing.T, s *Server, addr, user, password string) *rawClient {
	t.Helper()
	c := dialRaw(t, s, addr, addr == s.TLSAddr)
	if got := c.auth(user, password); !strings.HasPrefix(got, "<success") {
		t.Fatalf("login of %s: %s", user, got)
	}
	c.open(s.Domain)
	c.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>raw</resource></bind></iq>")
	c.expect(s.JID(user) + "/raw")
	return c
}

func (c *rawClient) auth(user, password string) string {
	c.t.Helper()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>", plain)
	return c.next()
}

// open sends a stream header and returns the features.
func (c *rawClient) open(domain string) string {
	c.t.Helper()
	c.send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' to='%s' version='1.0'>", nsStream, domain)
	return c.expect("<stream:features")
}

func (c *rawClient) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *rawClient) next() string {
	c.t.Helper()
	b, err := c.split.stanza()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return string(b)
}

// expect returns the next element that contains a text.
func (c *rawClient) expect(text string) string {
	c.t.Helper()
	for range 50 {
		if s := c.next(); strings.Contains(s, text) {
			return s
		}
	}
	c.t.Fatalf("no element with %q", text)
	return ""
}

func TestSplitter(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string // kind letter and bytes
	}{
		{"restarted stream", "<?xml version='1.0'?><stream:stream a='>'><a/><stream:stream><b></b></stream:stream>",
			[]string{"d<?xml version='1.0'?>", "h<stream:stream a='>'>", "s<a/>", "h<stream:stream>", "s<b></b>", "c</stream:stream>"}},
		{"other prefix", "<s:stream xmlns:s='x'> <stream:features><stream/></stream:features>",
			[]string{"h<s:stream xmlns:s='x'>", "  ", "s<stream:features><stream/></stream:features>"}},
		{"quotes", `<m a="'>" b='"/>'>x > y<n a='/'></n></m>`, []string{`s<m a="'>" b='"/>'>x > y<n a='/'></n></m>`}},
		{"cdata", "<m><![CDATA[</m>]]]><n/></m><k/>", []string{"s<m><![CDATA[</m>]]]><n/></m>", "s<k/>"}},
		{"spaces in tags", "<m\n><n /></m >", []string{"s<m\n><n /></m >"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSplitter(bufio.NewReader(strings.NewReader(tc.in)))
			for _, want := range tc.want {
				u, err := s.next()
				if err != nil {
					t.Fatal(err)
				}
				if got := string(" dhsc"[u.kind]) + string(u.raw); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if u, err := s.next(); err == nil {
				t.Errorf("left over: %q", u.raw)
			}
		})
	}
	for _, bad := range []string{"text", "<!DOCTYPE x>", "<a><!-- x --></a>", "<a>" + strings.Repeat("x", maxUnit)} {
		s := newSplitter(bufio.NewReader(strings.NewReader(bad)))
		if u, err := s.next(); err == nil {
			t.Errorf("%.20q: took %.20q", bad, u.raw)
		}
	}
}

// FuzzSplitter: the units of any input, joined, are a prefix of that input.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("<?xml?><stream:stream><a b='>'><![CDATA[x]]></a> </stream:stream>"))
	f.Add([]byte("<a><b/></a>\n<c/>"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newSplitter(bufio.NewReader(bytes.NewReader(in)))
		var out []byte
		for {
			u, err := s.next()
			if err != nil {
				break
			}
			if len(u.raw) == 0 {
				t.Fatal("empty unit")
			}
			out = append(out, u.raw...)
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("%q is no prefix of %q", out, in)
		}
	})
}
