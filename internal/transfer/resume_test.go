package transfer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// stage is two endpoints with a relay on the only path between them.
type stage struct {
	ends
	server *xmpptest.Server
	relay  *xmpptest.Relay
}

// setStage makes a file of size bytes for romeo to send. The relay does the faults to
// the first connection.
func setStage(t *testing.T, size int, faults ...xmpptest.Fault) *stage {
	t.Helper()
	st := &stage{server: prosody(t)}
	st.have(t, noise(size))
	st.meet(t, st.server, st.server.Addr, true)
	st.through(t, faults...)
	return st
}

// through leads every byte of the next sessions through a new relay.
func (st *stage) through(t *testing.T, faults ...xmpptest.Fault) {
	t.Helper()
	port := freePort(t)
	st.juliet.cfg.S5B.ListenPorts = []int{port}
	st.relay = xmpptest.StartRelay(t, addrOf(port), xmpptest.Both(faults...))
	st.juliet.cfg.S5B.Advertise = []string{st.relay.Addr}
	st.romeo.cfg.S5B.Advertise = []string{"127.0.0.1:1"}
}

// listenAs has an endpoint that is online listen as cfg says.
func listenAs(e *Endpoint, cfg route.S5BConfig) {
	e.cfg.S5B.ListenPorts, e.cfg.S5B.Advertise = cfg.ListenPorts, cfg.Advertise // the proxies are looked for already
}

func (st *stage) send(t *testing.T, retry RetryOptions) error {
	t.Helper()
	return st.romeo.Send(t.Context(), SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, Retry: retry, AnswerTimeout: time.Minute,
		Route: route.Options{Transports: []string{route.S5B}},
	})
}

// arrived is whole for a receiver that is on.
func (st *stage) arrived(t *testing.T) {
	t.Helper()
	waitIdle(t, st.juliet)
	st.whole(t)
}

func wantCode(t *testing.T, err error, code exitcode.Code) {
	t.Helper()
	var f *fault.Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v, want code %d", err, code)
	}
	if f.Code != code {
		t.Fatalf("%v: code %d, want %d", err, f.Code, code)
	}
}

// TestResumeBySender: a transfer that was cut goes on with the rest only, by
// `resume` and by the same send again, each time under a fresh secret, and with the
// client that has the beginning: not with another one, which comes first otherwise.
func TestResumeBySender(t *testing.T) {
	st := setStage(t, 3<<20, xmpptest.CutAt(1<<20))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	failed, _ := last[event.Failed](&st.out)
	if !failed.Resumable {
		t.Fatalf("%+v", failed)
	}
	other := onlineAs(t, st.server, "juliet", func(c *Config) { c.Session.Server, c.Receiver, c.Session.Priority = st.server.Addr, true, 1 })
	receiving(t, other, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	eventually(t, func() bool { return isOnline(st.romeo, other.sess.JID()) })
	st.through(t, xmpptest.CutAt(1<<20))
	wantCode(t, st.romeo.Resume(t.Context(), ResumeOptions{
		Transfers: []journal.Key{{ID: failed.Transfer, Direction: journal.Send}}, Wait: time.Minute,
	}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	if r, ok := last[event.Resumed](&st.out); !ok || r.Offset < 1<<19 || r.Offset > 1<<20 {
		t.Fatalf("%+v", r)
	}
	st.through(t)
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	r, _ := last[event.Resumed](&st.out)
	if n := carried(st.relay); r.Offset < 3<<19 || n > int64(len(st.data))-r.Offset+4096 {
		t.Errorf("resumed at %d, but %d bytes on the wire", r.Offset, n)
	}
	if got, _ := last[event.Received](&st.in); got.Transfer != failed.Transfer || len(got.Verified) != 2 {
		t.Errorf("%+v", got)
	}
}

// TestResumeInRun: one run survives several cuts by itself.
func TestResumeInRun(t *testing.T) {
	st := setStage(t, 2<<20, xmpptest.CutAt(700<<10))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: RetryOptions{Retries: 5, For: time.Minute}})
	if err := st.send(t, RetryOptions{Retries: 5, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if i, ok := last[event.Interrupted](&st.out); !ok || i.RetryIn <= 0 {
		t.Errorf("%+v", i)
	}
	if _, ok := last[event.Failed](&st.in); ok {
		t.Error("the receiver reported an end that was none")
	}
}

// TestResumeByReceiver: the receiver asks the sender's daemon for the rest.
func TestResumeByReceiver(t *testing.T) {
	st := setStage(t, 2<<20, xmpptest.CutAt(1<<20))
	row := st.cutForGood(t)
	// A device that appears meanwhile gets the key as well, and could answer.
	other := online(t, st.server, st.server.Addr, "romeo", false, nil).omemo.DeviceID()
	eventually(t, func() bool {
		devices, err := st.juliet.omemo.Devices(t.Context(), jid.MustParse("romeo@jet.test"))
		return err == nil && len(devices) == 2
	})
	err := st.juliet.Resume(t.Context(), ResumeOptions{
		Transfers: []journal.Key{{ID: row.ID, Direction: journal.Receive}}, Wait: time.Minute,
		Route: route.Options{Transports: []string{route.S5B}},
	})
	if err != nil {
		t.Fatal(err)
	}
	st.whole(t)
	waitIdle(t, st.romeo)
	if s, ok := last[event.Sent](&st.out); !ok || s.Transfer != row.ID {
		t.Errorf("%+v", s)
	}
	n, _ := last[event.Negotiated](&st.in)
	named := map[uint32]bool{}
	for _, d := range n.Devices {
		named[d.ID] = d.New
	}
	if want := map[uint32]bool{st.romeo.omemo.DeviceID(): true, other: true}; !maps.Equal(named, want) {
		t.Errorf("negotiated with %v, want %v", named, want)
	}
	devices, err := st.juliet.omemo.Devices(t.Context(), jid.MustParse("romeo@jet.test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.New != (d.ID == other) {
			t.Errorf("device %d is new: %t", d.ID, d.New)
		}
	}
}

// carried counts the bytes that went over the relay, both ways.
func carried(r *xmpptest.Relay) int64 {
	c := r.Carried()
	return c.UpCount + c.DownCount
}

// TestResumeByDaemon: the receiver's daemon asks by itself when the sender's
// daemon comes online, even if the clock was set back since.
func TestResumeByDaemon(t *testing.T) {
	st := setStage(t, 2<<20, xmpptest.CutAt(1<<20))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: time.Hour, Retry: RetryOptions{Retries: 5, For: time.Minute}})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	if _, err := st.juliet.db.ExecContext(t.Context(), `UPDATE transfers SET updated = ?`, time.Now().Add(day).UnixMilli()); err != nil {
		t.Fatal(err)
	}
	st.through(t)
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	eventually(t, func() bool { _, ok := last[event.Received](&st.in); return ok })
	st.arrived(t)
	if _, ok := last[event.Failed](&st.in); ok {
		t.Error("the receiver reported an end that was none")
	}
}

// TestNewcomers: a contact whose daemon is started anew under the same address, faster
// than anybody looks, has come anew: what it is to be asked for has no pause to wait out.
func TestNewcomers(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", false, nil)
	peer := jid.MustParse("romeo@jet.test")
	state := t.TempDir()
	arrival := func() (last uint64) {
		for _, res := range juliet.sess.Resources(peer) {
			last = max(last, res.Arrival)
		}
		return last
	}
	daemon := func() (stop func()) { // returns when juliet sees it
		before := arrival()
		romeo := onlineIn(t, state, s, s.Addr, "romeo", true, nil)
		halt := receiving(t, romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
		eventually(t, func() bool { return arrival() > before })
		return func() {
			halt()
			if err := romeo.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	k := &keeper{r: &receiver{e: &juliet.core}}
	rows := []journal.Row{{Peer: peer}}
	stop := daemon()
	fresh := func() bool { _, fresh := k.plan.Clients(rows, k.arrivals); return fresh[peer] }
	if !fresh() || fresh() {
		t.Error("the first time is once")
	}
	stop()
	defer daemon()()
	if !fresh() || fresh() {
		t.Error("the second time is once")
	}
}

// isOnline reports whether a client is online as an endpoint sees it.
func isOnline(e *Endpoint, full jid.JID) bool {
	return slices.ContainsFunc(e.sess.Resources(full.Bare()), func(r session.Resource) bool { return r.JID == full })
}

// eventually waits for what takes seconds.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 6000 { // a minute
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

// TestSessionLimit: a file larger than one session carries comes in consecutive
// ranges, also across an interruption, and from either side.
func TestSessionLimit(t *testing.T) {
	st := setStage(t, 2<<20+17, xmpptest.CutAt(300<<10))
	st.romeo.cfg.SessionLimit = 256<<10 + 5
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: RetryOptions{Retries: 5, For: time.Minute}})
	if err := st.send(t, RetryOptions{Retries: 5, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if r, ok := last[event.Resumed](&st.in); !ok || r.Offset%(256<<10+5) != 0 {
		t.Errorf("%+v", r)
	}
}
