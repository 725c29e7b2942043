package transfer

import (
	"context"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// onion is a SOCKS5 proxy (RFC 1928) that alone knows the names under jet.test:
// all of them are this machine.
type onion struct {
	addr string
	wg   sync.WaitGroup
	mu   sync.Mutex
	// asked are the places that it was to connect to.
	asked []string
}

func startOnion(t *testing.T) *onion {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &onion{addr: l.Addr().String()}
	o.wg.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			o.wg.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); o.wg.Wait() })
	return o
}

func (o *onion) serve(c net.Conn) {
	defer c.Close()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b)
		return b
	}
	read(int(read(2)[1])) // methods
	_, _ = c.Write([]byte{5, 0})
	head := read(5)
	if head[3] != 3 {
		return // an address: somebody else has looked up the name
	}
	name, port := string(read(int(head[4]))), read(2)
	place := net.JoinHostPort(name, strconv.Itoa(int(port[0])<<8|int(port[1])))
	o.mu.Lock()
	o.asked = append(o.asked, place)
	o.mu.Unlock()
	if !strings.HasSuffix(name, "jet.test") {
		return
	}
	up, err := net.Dial("tcp", "127.0.0.1"+place[len(name):])
	if err != nil {
		return
	}
	defer up.Close()
	_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	half := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.(*net.TCPConn).CloseWrite()
	}
	o.wg.Go(func() { half(up, c) })
	half(c, up)
}

// TestSOCKS5: with a SOCKS5 proxy for the account everything goes through it: the
// stream, the proxies of the server, and every name. Nothing listens, and nothing
// that is sent names an address of this machine.
func TestSOCKS5(t *testing.T) {
	s := prosody(t)
	before := lookups.Load()
	tap, o := xmpptest.StartTap(t, s, xmpptest.Pass), startOnion(t)
	at := func(name, addr string) string { return name + addr[strings.LastIndex(addr, ":"):] }
	proxyAt := at("proxy.jet.test", s.ProxyAddr)
	hidden := func(user string, receiver bool, report func(Event)) *Endpoint {
		return onlineAs(t, s, user, func(c *Config) {
			c.Receiver, c.Report = receiver, report
			c.Session.Server, c.Session.SOCKS5 = at("jet.test", tap.Addr), o.addr
			c.Session.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if address != o.addr {
					t.Errorf("%s dials %s", user, address)
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			c.S5B = S5BConfig{Advertise: []string{"here.jet.test"}, Proxies: []string{"proxy.jet.test=" + proxyAt}}
		})
	}
	var in, out events
	juliet, romeo := hidden("juliet", true, in.report), hidden("romeo", false, out.report)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []Source{{Path: testFile(t, strings.Repeat("text", 10_000))}}, Wait: time.Minute}

	proxy := CandidateInfo{"proxy", "proxy.jet.test", portOf(t, s.ProxyAddr)}
	if plans, err := romeo.DryRun(t.Context(), opt); err != nil || !slices.Equal(plans[0].Candidates, []CandidateInfo{proxy}) {
		t.Errorf("dry run: %+v %v", plans, err)
	}
	var found []Finding
	if _, err := romeo.Diagnose(t.Context(), opt, func(f Finding) { found = append(found, f) }); err != nil {
		t.Error(err)
	}
	for check, want := range map[string]string{"candidates": "everything goes through the proxy", "proxies": "proxy.jet.test at " + proxyAt + " answers"} {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == check && strings.Contains(f.Text, want) }) {
			t.Errorf("diagnosis without %q: %+v", want, found)
		}
	}
	if err := romeo.Send(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	for who, e := range map[string]*events{"sender": &out, "receiver": &in} {
		if n, _ := last[Negotiated](e); n.Transport != S5B || n.Candidate != "proxy" {
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
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.asked, proxyAt) {
		t.Errorf("the proxy of the server was not reached by its name: %v", o.asked)
	}
}

// TestSOCKS5Down: with no proxy of the server at hand in-band carries the file.
func TestSOCKS5Down(t *testing.T) {
	s := prosody(t)
	o := startOnion(t)
	var out events
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := onlineAs(t, s, "romeo", func(c *Config) {
		c.Report = out.report
		c.Session.Server, c.Session.SOCKS5 = "jet.test"+s.Addr[strings.LastIndex(s.Addr, ":"):], o.addr
		c.S5B.Proxies = []string{"proxy.jet.test=127.0.0.1:1"}
	})
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
	if err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []Source{{Path: testFile(t, "text")}}, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if n, _ := last[Negotiated](&out); n.Transport != IBB { // although juliet is at hand, at an address of this machine
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

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
