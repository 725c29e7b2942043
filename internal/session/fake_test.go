package session

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	gstanza "gosrc.io/xmpp/stanza"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

const (
	fakeDomain   = "jet.test"
	fakePassword = "correct horse"
)

var self = jid.MustParse("juliet@jet.test")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a scripted server. Zero fields make an honest one.
type fake struct {
	host       string // to listen on, if not 127.0.0.1
	direct     bool
	maxTLS     uint16
	certName   string
	certUntil  time.Time
	mechanisms []string
	bindings   []string // XEP-0440, when not nil
	iterations int
	boundJID   string
	legacy     bool // insist on the session of RFC 3921
	// preApproval tells that the server takes approvals before the request.
	preApproval bool
	// rosterVersion tells that the server knows versions of the roster.
	rosterVersion bool
	silentAt      string // the step at which nothing more is said
	// script replaces a step; true means that the connection is done with.
	script map[string]func(*fakeConn) bool
	// session runs after the initial presence; its end closes the connection.
	session func(*fakeConn)
	// sm, when not nil, offers stream management; see fake_sm_test.go.
	sm *fakeSM

	t    testing.TB
	ln   net.Listener
	cert tls.Certificate
	mu   sync.Mutex
	open []net.Conn
	seen []string // what clients sent, elements of the negotiation
	stop chan struct{}
	wg   sync.WaitGroup

	hello *tls.ClientHelloInfo // of the latest client
}

// start listens on loopback until the test ends.
func (f *fake) start(t testing.TB) *fake {
	t.Helper()
	f.t = t
	if f.certName == "" {
		f.certName = fakeDomain
	}
	if f.certUntil.IsZero() {
		f.certUntil = time.Now().Add(time.Hour)
	}
	if f.mechanisms == nil {
		f.mechanisms = []string{"SCRAM-SHA-1", "SCRAM-SHA-256"}
	}
	if f.iterations == 0 {
		f.iterations = minIterations
	}
	if f.cert.Certificate == nil {
		f.cert = theCA().issue(t, f.certName, f.certUntil)
	}
	f.stop = make(chan struct{})
	var err error
	if f.ln, err = net.Listen("tcp", net.JoinHostPort(cmp.Or(f.host, "127.0.0.1"), "0")); err != nil {
		t.Fatal(err)
	}
	f.wg.Go(func() {
		for {
			c, err := f.ln.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			n := len(f.open)
			f.open = append(f.open, c)
			f.mu.Unlock()
			f.wg.Go(func() {
				defer c.Close()
				f.serve(&fakeConn{f: f, n: n, Conn: c, raw: c})
			})
		}
	})
	t.Cleanup(func() {
		close(f.stop)
		f.ln.Close()
		f.mu.Lock()
		for _, c := range f.open {
			c.Close()
		}
		f.mu.Unlock()
		f.wg.Wait()
	})
	return f
}

// config is that of a client of f.
func (f *fake) config() Config {
	service := srvStartTLS
	if f.direct {
		service = srvDirectTLS
	}
	addr := f.ln.Addr().(*net.TCPAddr)
	return Config{
		JID: self, Resource: "r", RootCAs: theCA().pool(),
		Password: func(context.Context) (string, error) { return fakePassword, nil },
		LookupSRV: func(_ context.Context, s, _, _ string) (string, []*net.SRV, error) {
			if s != service {
				return "", nil, &net.DNSError{IsNotFound: true}
			}
			return "", []*net.SRV{{Target: addr.IP.String() + ".", Port: uint16(addr.Port)}}, nil
		},
	}
}

// saw reports whether a client has sent an element of that name.
func (f *fake) saw(local string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.seen, local)
}

// online starts a Session that is closed with the test.
func (f *fake) online(t testing.TB, setup ...func(*Session)) *Session {
	t.Helper()
	s := New(f.config())
	for _, fn := range setup {
		fn(s)
	}
	if err := s.Start(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if f.sm != nil && !f.sm.off && s.cfg.Reconnect {
		managed(t, s)
	}
	t.Cleanup(func() { closeSession(t, s) })
	return s
}

func closeSession(t testing.TB, s *Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// testContext ends long after every honest step, so that a hang is an error.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// fakeConn is one client of a fake.
type fakeConn struct {
	f       *fake
	n       int  // which one, from 0
	managed bool // stream management was enabled or resumed on it
	net.Conn
	raw net.Conn
	br  *bufio.Reader
	dec *decoder
}

func (c *fakeConn) say(s string) {
	_, _ = c.Write([]byte(s)) // a client that is gone is found out by hear
}

// hear returns the next element that stream management leaves, nil when the client is gone.
func (c *fakeConn) hear() *xmltree.Element {
	for {
		if el, taken := c.one(); !taken {
			return el
		}
	}
}

// one takes one element, nil when the client is gone.
func (c *fakeConn) one() (el *xmltree.Element, taken bool) {
	fr, err := c.dec.next()
	if err != nil {
		if errors.Is(err, ErrStreamEnd) {
			c.say(gstanza.StreamClose)
		}
		return nil, false
	}
	c.f.mu.Lock()
	if len(c.f.seen) < 1000 {
		c.f.seen = append(c.f.seen, fr.el.Name.Local)
	}
	c.f.mu.Unlock()
	return fr.el, c.f.sm != nil && c.f.sm.take(c, fr.el)
}

// header answers the client's stream header.
func (c *fakeConn) header(features string) bool {
	c.dec = newDecoder(c.br)
	if _, err := c.dec.open(); err != nil {
		return false
	}
	c.say(`<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' version='1.0' from='` +
		fakeDomain + `'><stream:features>` + features + `</stream:features>`)
	return true
}

// silent blocks until the test ends, reading on so that the client's end is seen.
func (c *fakeConn) silent() { <-c.f.stop }

func (c *fakeConn) encrypt() bool { return c.encryptAs(c.f.cert) }

func (c *fakeConn) encryptAs(cert tls.Certificate) bool {
	cfg := &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: c.f.maxTLS,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			c.f.mu.Lock()
			defer c.f.mu.Unlock()
			c.f.hello = h
			return nil, nil
		},
	}
	tc := tls.Server(c.Conn, cfg)
	if tc.Handshake() != nil {
		return false
	}
	c.Conn, c.br = tc, bufio.NewReader(tc)
	return true
}

// step does a step, or what the script has in its place.
func (c *fakeConn) step(s honestStep) bool {
	if c.f.silentAt == s.name {
		c.silent()
		return false
	}
	if script := c.f.script[s.name]; script != nil {
		return !script(c)
	}
	return s.do(c)
}

// proceed answers <starttls/>.
func (c *fakeConn) proceed() bool {
	if c.hear() == nil {
		return false
	}
	c.say("<proceed xmlns='" + nsTLS + "'/>")
	return true
}

// honest are the steps of a login, in order.
func (f *fake) honest() []honestStep {
	steps := []honestStep{
		{"header", func(c *fakeConn) bool { return c.header("<starttls xmlns='" + nsTLS + "'/>") }},
		{"starttls", (*fakeConn).proceed},
		{"tls", (*fakeConn).encrypt},
		{"features", func(c *fakeConn) bool { return c.header(f.mechanismList()) }},
		{"sasl", (*fakeConn).sasl},
		{"restart", func(c *fakeConn) bool { return c.header(f.bindFeatures()) }},
		{"bind", (*fakeConn).bind},
		{"roster", (*fakeConn).roster},
	}
	if f.direct {
		return steps[2:]
	}
	return steps
}

// honestStep is one step; false from do ends the connection.
type honestStep struct {
	name string
	do   func(*fakeConn) bool
}

func (f *fake) serve(c *fakeConn) {
	c.br = bufio.NewReader(c.Conn)
	for _, s := range f.honest() {
		if !c.step(s) {
			return
		}
	}
	if f.session != nil {
		f.session(c)
		return
	}
	c.idle()
}

func (f *fake) mechanismList() string {
	var b strings.Builder
	b.WriteString("<mechanisms xmlns='" + gstanza.NSSASL + "'>")
	for _, m := range f.mechanisms {
		b.WriteString("<mechanism>" + m + "</mechanism>")
	}
	b.WriteString("</mechanisms>")
	if f.bindings != nil {
		b.WriteString("<sasl-channel-binding xmlns='" + nsChannelBinding + "'>")
		for _, t := range f.bindings {
			b.WriteString("<channel-binding type='" + t + "'/>")
		}
		b.WriteString("</sasl-channel-binding>")
	}
	return b.String()
}

func (f *fake) bindFeatures() string {
	s := "<bind xmlns='" + gstanza.NSBind + "'/>"
	if f.legacy {
		s += "<session xmlns='" + gstanza.NSSession + "'/>"
	}
	if f.preApproval {
		s += "<sub xmlns='" + nsPreApproval + "'/>"
	}
	if f.rosterVersion {
		s += "<ver xmlns='" + nsRosterVersion + "'/>"
	}
	if f.sm != nil {
		s += "<sm xmlns='" + nsSM + "'/>"
	}
	return s
}

func (c *fakeConn) bind() bool {
	iq := c.hear()
	if c.f.sm != nil && iq != nil && iq.Is(nsSM, "resume") {
		if c.f.sm.resume(c, iq) {
			return true
		}
		iq = c.hear()
	}
	if iq == nil {
		return false
	}
	c.f.mu.Lock()
	full := c.f.boundJID
	c.f.mu.Unlock()
	if full == "" {
		full = self.String() + "/" + iq.Child("", "bind").ChildText("", "resource")
	}
	c.say("<iq type='result' id='" + iq.Attr("id") + "'><bind xmlns='" + gstanza.NSBind + "'><jid>" + full + "</jid></bind></iq>")
	if c.f.legacy {
		if iq = c.hear(); iq == nil || iq.Child(gstanza.NSSession, "session") == nil {
			return false
		}
		c.say("<iq type='result' id='" + iq.Attr("id") + "'/>")
	}
	return true
}

// roster answers the request for it and takes the initial presence.
func (c *fakeConn) roster() bool {
	if c.f.sm != nil && c.f.sm.resumed(c) {
		return true
	}
	iq := c.hear()
	if iq == nil {
		return false
	}
	c.stanza("<iq type='result' id='" + iq.Attr("id") + "'><query xmlns='jabber:iq:roster'>" +
		"<item jid='romeo@jet.test' name='Romeo' subscription='both'/></query></iq>")
	p := c.hear()
	if p == nil || p.Name.Local != "presence" {
		return false
	}
	if c.f.sm != nil && !c.managed { // <enable/> comes once the client has seen the features
		c.one()
	}
	return true
}

// idle answers every iq with an empty result until the client has gone.
func (c *fakeConn) idle() {
	for el := c.hear(); el != nil; el = c.hear() {
		if el.Name.Local == "iq" && (el.Attr("type") == "get" || el.Attr("type") == "set") {
			c.stanza(resultOf(el))
		}
	}
}

// resultOf is the empty answer to an iq.
func resultOf(iq *xmltree.Element) string {
	from := ""
	if to := iq.Attr("to"); to != "" {
		from = " from='" + to + "'"
	}
	return "<iq type='result' id='" + iq.Attr("id") + "'" + from + "/>"
}
