package route

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// answering is an account whose server answers with these elements.
type answering struct {
	Account
	loopback, proxied bool
	answers           map[string]*xmltree.Element
	asked             []string
}

func (a *answering) JID() jid.JID       { return romeo }
func (a *answering) OverLoopback() bool { return a.loopback }
func (a *answering) Proxied() bool      { return a.proxied }

func (a *answering) IQ(_ context.Context, _ jid.JID, _ stanza.IQType, x *xmltree.Element) (*xmltree.Element, error) {
	a.asked = append(a.asked, x.Name.Space)
	if e := a.answers[x.Name.Space]; e != nil {
		return e, nil
	}
	return nil, stanza.NewError(stanza.ServiceUnavailable)
}

func finderOf(a *answering) *Finder {
	return NewFinder(Config{Account: a, S5B: &S5BConfig{}, Log: slog.New(slog.DiscardHandler)})
}

func parsed(t *testing.T, text string) *xmltree.Element {
	t.Helper()
	x, err := xmltree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestServices: the STUN services of the configuration come before two of the server, of
// which those that say TCP come first.
func TestServices(t *testing.T) {
	a := &answering{answers: map[string]*xmltree.Element{nsServices: parsed(t, `<services xmlns='urn:xmpp:extdisco:2'>
		<service type='turn' host='turn.example' port='3478' transport='tcp'/>
		<service type='stun' host='udp.example' port='3478' transport='udp'/>
		<service type='stun' host='zero.example' port='0' transport='tcp'/>
		<service type='stun' port='3478' transport='tcp'/>
		<service type='stun' host='2001:db8::1' transport='tcp'/>
		<service type='stun' host='third.example' port='5'/></services>`)}}
	f := finderOf(a)
	f.cfg.S5B.STUN = []string{"mine.example:9"}
	if got, want := f.services(t.Context(), jid.MustParse("montague.lit")), []string{"mine.example:9", "[2001:db8::1]:3478", "udp.example:3478"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	a.answers[nsServices] = parsed(t, `<query xmlns='x'/>`)
	if got := f.services(t.Context(), jid.MustParse("montague.lit")); len(got) != 1 {
		t.Errorf("%q of another answer", got)
	}
}

// TestSeen: what the server says of our address is believed when everybody can reach it.
func TestSeen(t *testing.T) {
	for text, want := range map[string]string{
		`<address xmlns='urn:xmpp:sic:1'><ip>9.9.9.9</ip><port>5</port></address>`: "9.9.9.9",
		`<address xmlns='urn:xmpp:sic:1'><ip>::ffff:9.9.9.9</ip></address>`:        "9.9.9.9",
		`<address xmlns='urn:xmpp:sic:1'><ip>10.0.0.1</ip></address>`:              "invalid IP",
		`<address xmlns='urn:xmpp:sic:1'><ip>127.0.0.1</ip></address>`:             "invalid IP",
		`<address xmlns='urn:xmpp:sic:1'><ip>2a00::1</ip></address>`:               "invalid IP",
		`<address xmlns='urn:xmpp:sic:1'><ip>x</ip></address>`:                     "invalid IP",
		`<address xmlns='urn:xmpp:sic:1'/>`:                                        "invalid IP",
		`<other xmlns='urn:xmpp:sic:1'><ip>9.9.9.9</ip></other>`:                   "invalid IP",
	} {
		f := finderOf(&answering{answers: map[string]*xmltree.Element{nsSeen: parsed(t, text)}})
		if got := f.seen(t.Context(), jid.MustParse("montague.lit")).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestProxiedAsksNobody: behind a proxy nobody is asked where we are, nobody is met, and no
// router is asked.
func TestProxiedAsksNobody(t *testing.T) {
	a := &answering{proxied: true}
	f := finderOf(a)
	f.cfg.S5B.PortMapping = true
	_, _ = f.search(t.Context())
	if slices.Contains(a.asked, nsServices) || slices.Contains(a.asked, nsSeen) {
		t.Errorf("asked %q", a.asked)
	}
	if f.punching(t.Context(), juliet, nil) != nil || f.mapper(false) != nil {
		t.Error("somebody is met")
	}
}

// reflector is a STUN server on loopback that says an address; wrong says something else.
func reflector(t *testing.T, says netip.AddrPort, wrong bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			ask := make([]byte, 20)
			_, _ = io.ReadFull(c, ask)
			ip := says.Addr().As4()
			b := append([]byte{1, 1, 0, 12}, ask[4:]...)
			b = append(b, 0, 1, 0, 8, 0, 1)
			b = binary.BigEndian.AppendUint16(b, says.Port())
			if b = append(b, ip[:]...); wrong {
				b = []byte("HTTP/1.0 400 Bad request, whatever\r\n")
			}
			_, _ = c.Write(b)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// TestReflected: the first service that says an address which everybody can reach counts;
// one that fails is left alone for a while, and one that another one was faster than is not.
func TestReflected(t *testing.T) {
	f := finderOf(&answering{loopback: true})
	dial := func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
	}
	good, private, bad := reflector(t, netip.MustParseAddrPort("9.9.9.9:6000"), false), reflector(t, netip.MustParseAddrPort("10.1.1.1:6000"), false), reflector(t, netip.MustParseAddrPort("9.9.9.9:6000"), true)
	if got := f.reflected(t.Context(), []string{bad, good}, dial); got.String() != "9.9.9.9:6000" {
		t.Error(got)
	}
	if got := f.reflected(t.Context(), []string{private}, dial); got.IsValid() {
		t.Error("told on:", got)
	}
	if got := f.external.worthAsking([]string{private, good, "a:1", "b:1"}, time.Now()); !slices.Equal(got, []string{good, "a:1"}) {
		t.Errorf("worth asking: %q", got)
	}
	if got := f.external.worthAsking([]string{private}, time.Now().Add(silentFor+time.Second)); len(got) != 1 {
		t.Error("never asked again")
	}
	f.external.note("c:1", false, time.Now())
	if got := f.external.worthAsking([]string{"c:1"}, time.Now()); len(got) != 1 {
		t.Error("blamed for another one's speed")
	}
	if got := f.reflected(t.Context(), nil, dial); got.IsValid() {
		t.Error(got)
	}
	f.cfg.Account = &answering{} // a server elsewhere that sends us to loopback
	refused := func(context.Context, netip.AddrPort) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no")
	}
	if got := f.reflected(t.Context(), []string{good, "169.254.1.1:3478", "224.0.0.1:3478"}, refused); got.IsValid() {
		t.Error(got)
	}
}

// TestMeter: a contact makes us dial so often in a minute, whatever it offers.
func TestMeter(t *testing.T) {
	f := finderOf(&answering{})
	f.proxies.found = make(chan struct{})
	close(f.proxies.found)
	n := 0
	for range 10 { // offers
		p := f.punching(t.Context(), juliet, nil)
		for range 20 {
			if p.Allow() {
				n++
			}
		}
	}
	if n != maxPunches {
		t.Errorf("%d dials", n)
	}
	if p := f.punching(t.Context(), romeo, nil); !p.Allow() {
		t.Error("another contact pays for it")
	}
	m := &meter{since: time.Now().Add(-2 * time.Minute), n: maxPunches}
	if !m.idle(time.Now()) || !m.spend(time.Now()) {
		t.Error("never again")
	}
}
