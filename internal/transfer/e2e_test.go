package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/policy"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// events collects what an endpoint reports.
type events struct {
	mu   sync.Mutex
	all  []event.Event
	also func(event.Event) // is told of each, too; nil for nobody
}

func (e *events) report(ev event.Event) {
	e.mu.Lock()
	e.all = append(e.all, ev)
	also := e.also
	e.mu.Unlock()
	if also != nil {
		also(ev)
	}
}

// tell has f told of the events that come, in the place of what was told before.
func (e *events) tell(f func(event.Event)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.also = f
}

// last returns the last event of type T.
func last[T event.Event](e *events) (t T, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if x, is := ev.(T); is {
			t, ok = x, true
		}
	}
	return t, ok
}

// online connects a user of the test server.
func online(t *testing.T, s *xmpptest.Server, addr, user string, receiver bool, report func(event.Event)) *Endpoint {
	t.Helper()
	return onlineAs(t, s, user, func(c *Config) { c.Session.Server, c.Receiver, c.Report = addr, receiver, report })
}

// onlineAs is online with a configuration of the caller's.
func onlineAs(t *testing.T, s *xmpptest.Server, user string, change func(*Config)) *Endpoint {
	t.Helper()
	c := configOf(t, t.TempDir(), s, user)
	change(&c)
	e, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close %s: %v", user, err)
		}
	})
	return e
}

// onlineIn is online with a state directory of the caller's, who closes it too.
func onlineIn(t *testing.T, dir string, s *xmpptest.Server, addr, user string, receiver bool, report func(event.Event)) *Endpoint {
	t.Helper()
	c := configOf(t, dir, s, user)
	c.Session.Server, c.Receiver, c.Report = addr, receiver, report
	e, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// configOf is that of a user of the test server.
func configOf(t *testing.T, dir string, s *xmpptest.Server, user string) Config {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: session.LevelTrace})).With("user", user)
	}
	return Config{
		Session: session.Config{
			JID: jid.MustParse(s.JID(user)), RootCAs: s.CA.Pool(),
			Password: func(context.Context) (string, error) { return user + "pw", nil },
		},
		StateDir: dir, Log: log, Quick: true, NoSets: true,
	}
}

// receiving has an endpoint receive until the test ends, or until stop is called. When
// it returns, offers are taken.
func receiving(t *testing.T, e *Endpoint, opt ReceiveOptions) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Receive(ctx, opt) }()
	stop = sync.OnceFunc(func() {
		cancel()
		stopped(t, ended)
	})
	t.Cleanup(stop)
	takesOffers(t, e)
	return stop
}

// takesOffers waits until a run of Receive has begun: before that, a sender that
// knows the endpoint from an earlier run is told that nobody is there.
func takesOffers(t *testing.T, e *Endpoint) {
	t.Helper()
	eventually(t, func() bool { return e.receiver.Load() != nil })
}

// software is the server that the tests run against: Prosody, unless `make interop`
// says another one.
func software() xmpptest.Software { return xmpptest.Software(os.Getenv("JETSEND_TEST_SERVER")) }

// prosody starts a Prosody, or the software that the environment names instead.
func prosody(t *testing.T) *xmpptest.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	t.Parallel() // each has a server of its own, and most of the time is waiting
	s := xmpptest.Start(t, xmpptest.Options{Software: software()})
	for _, u := range []string{"romeo", "juliet"} {
		if err := s.AddAccount(u, u+"pw"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Subscribe("romeo", "juliet"); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOverProsody(t *testing.T) {
	s := prosody(t)
	dir := t.TempDir()
	var in, out events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, out.report)
	stop := make(chan struct{})
	received := make(chan error, 1)
	go func() {
		received <- juliet.Receive(t.Context(), ReceiveOptions{Dir: dir, Accept: policy.Contacts, Drain: 10 * time.Second, Stop: stop})
	}()
	var files []source.Named
	var data [][]byte
	for i, size := range []int{0, 1, 64 << 10, 5<<20 + 3} {
		b := make([]byte, size)
		_, _ = rand.Read(b)
		path := filepath.Join(t.TempDir(), "file "+string(rune('a'+i)))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		files, data = append(files, source.Named{Path: path}), append(data, b)
	}
	if err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: files, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	for i, want := range data {
		got, err := os.ReadFile(filepath.Join(dir, "file "+string(rune('a'+i))))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("file %d: %v (%d bytes of %d)", i, err, len(got), len(want))
		}
	}
	if sent, ok := last[event.Sent](&out); !ok || !sent.VerifiedByPeer {
		t.Errorf("sent: %+v", sent)
	}
	if n, _ := last[event.Negotiated](&in); n.Cipher != "aes-256-gcm" || n.Candidate != "direct" || len(n.Devices) != 1 || n.Devices[0].Fingerprint != romeo.OMEMO().Fingerprint() {
		t.Errorf("negotiated: %+v", n)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := xmpptest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func addrOf(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// testFile makes a file to send.
func testFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func contains(raw []byte, s string) bool { return bytes.Contains(raw, []byte(s)) }

// success is a session-terminate of the responder for the session that the
// stanza offer began.
func success(offer []byte, initiator, responder jid.JID) string {
	x, err := xmltree.Parse(offer)
	if err != nil {
		return ""
	}
	sid := x.Child(jingle.NS, "jingle").Attr("sid")
	end := xmltree.New(jingle.NS, "jingle", jingle.Reason{Condition: jingle.Success}.Element()).Set("action", "session-terminate").Set("sid", sid)
	iq := xmltree.New("jabber:client", "iq", end).Set("type", "set").Set("id", "forged").
		Set("from", responder.String()).Set("to", initiator.String())
	return iq.String()
}

// choose finds the clients that a send would offer to.
func (e *Endpoint) choose(ctx context.Context, opt SendOptions) ([]*contact.Peer, error) {
	return e.contacts().Choose(ctx, contactOptions(opt))
}
