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
	"sync"
	"syscall"
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
	mu                sync.Mutex
	asked             []string
}

func (a *answering) JID() jid.JID       { return romeo }
func (a *answering) OverLoopback() bool { return a.loopback }
func (a *answering) Proxied() bool      { return a.proxied }

func (a *answering) IQ(_ context.Context, _ jid.JID, _ stanza.IQType, x *xmltree.Element) (*xmltree.Element, error) {
	a.mu.Lock()
	a.asked = append(a.asked, x.Name.Space)
	a.mu.Unlock()
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
	f.cfg.S5B.STUN = []string{"mine.example:9", "[2001:db8::1]:3478"}
	if got, want := f.services(t.Context(), jid.MustParse("montague.lit")), []string{"mine.example:9", "[2001:db8::1]:3478", "udp.example:3478"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	a.answers[nsServices] = parsed(t, `<query xmlns='x'/>`)
	if got := f.services(t.Context(), jid.MustParse("montague.lit")); len(got) != 2 {
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
	if f.punching(surroundings{}, juliet, nil) != nil || f.mapper(false) != nil {
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
	first := func(services ...string) netip.AddrPort {
		return append(f.reflected(t.Context(), services, 1, dial), netip.AddrPort{})[0]
	}
	if got := first(bad, good); got.String() != "9.9.9.9:6000" {
		t.Error(got)
	}
	if got := first(private); got.IsValid() {
		t.Error("told on:", got)
	}
	if got := f.external.worthAsking([]string{private, good, "a:1", "b:1"}, time.Now()); !slices.Equal(got, []string{good, "a:1"}) {
		t.Errorf("worth asking: %q", got)
	}
	if got := f.external.worthAsking([]string{private}, time.Now().Add(silentFor+time.Second)); len(got) != 1 {
		t.Error("never asked again")
	}
	for _, err := range []error{context.Canceled, syscall.EADDRNOTAVAIL, syscall.ENETUNREACH, &net.DNSError{}} {
		f.external.note("c:1", err, time.Now())
	}
	if got := f.external.worthAsking([]string{"c:1"}, time.Now()); len(got) != 1 {
		t.Error("blamed for what is not its fault")
	}
	f.external.forgive()
	if got := f.external.worthAsking([]string{private}, time.Now()); len(got) != 1 {
		t.Error("not forgiven in another network")
	}
	low := reflector(t, netip.MustParseAddrPort("9.9.9.9:80"), false)
	if got := first(low); got.IsValid() {
		t.Error("told on:", got)
	}
	if got := first(); got.IsValid() {
		t.Error(got)
	}
	other := reflector(t, netip.MustParseAddrPort("9.9.9.9:6001"), false)
	if got := f.reflected(t.Context(), []string{good, other}, maxReflectors, dial); len(got) != 2 {
		t.Errorf("%v of two", got)
	}
	f.cfg.Account = &answering{} // a server elsewhere that sends us to loopback
	refused := func(context.Context, netip.AddrPort) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no")
	}
	if got := f.reflected(t.Context(), []string{good, "169.254.1.1:3478", "224.0.0.1:3478"}, 1, refused); len(got) > 0 {
		t.Error(got)
	}
}

// TestMeter: a contact makes us dial so often in a minute, whatever it offers.
func TestMeter(t *testing.T) {
	f := finderOf(&answering{})
	n := 0
	for range 10 { // offers
		p := f.punching(surroundings{}, juliet, nil)
		for range 20 {
			if p.Allow() {
				n++
			}
		}
	}
	if n != maxPunches {
		t.Errorf("%d dials", n)
	}
	if p := f.punching(surroundings{}, romeo, nil); !p.Allow() {
		t.Error("another contact pays for it")
	}
	m := &meter{since: time.Now().Add(-2 * time.Minute), n: maxPunches}
	if !m.idle(time.Now()) || !m.spend(time.Now()) {
		t.Error("never again")
	}
}
