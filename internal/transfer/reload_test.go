package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// TestChange: what a reload changes holds for the next offer, and not for a
// transfer that runs, but for the rate. A run that is alive says so.
func TestChange(t *testing.T) {
	s := prosody(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	if err := juliet.Alive(t.Context()); !errors.Is(err, errNoReceiver) {
		t.Errorf("alive before the run: %v", err)
	}
	changes := make(chan Change)
	opt := ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, LimitRate: 100, Changes: changes}
	receiving(t, juliet, opt)
	apply := func(o ReceiveOptions) {
		t.Helper()
		applied := make(chan struct{})
		changes <- Change{o, applied}
		<-applied
	}
	send := func(name, content string) error {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: path}}, Wait: time.Minute})
	}
	running := make(chan error, 1)
	go func() { running <- send("slow", strings.Repeat("x", 200<<10)) }()
	for !in.has("progress") && !in.has("received") {
		time.Sleep(time.Millisecond)
	}
	if in.has("received") {
		t.Fatal("the rate was not limited")
	}
	if limit := juliet.sending.Limit(); limit != 100 { // for what is asked of a receiver
		t.Errorf("what a receiver sends goes at %d bytes a second", limit)
	}
	apply(ReceiveOptions{Dir: "/nowhere", Accept: policy.Contacts, MaxSize: 3})
	declined := func(what string, err error) {
		t.Helper()
		var f *fault.Failure
		if !errors.As(err, &f) || f.Code != exitcode.Declined {
			t.Errorf("%s: %v", what, err)
		}
	}
	declined("larger than the new limit", send("large", "four"))
	if err := send("small", "one"); err != nil {
		t.Errorf("within the new limit: %v", err)
	}
	if err := <-running; err != nil { // at the old rate it would take more than half an hour
		t.Errorf("the one that ran: %v", err)
	}
	for name, size := range map[string]int64{"slow": 200 << 10, "small": 3} {
		if info, err := os.Stat(filepath.Join(opt.Dir, name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v", name, err)
		}
	}
	apply(ReceiveOptions{Accept: policy.From, From: []jid.JID{jid.MustParse("nurse@jet.test")}})
	if err := send("unnamed", "x"); err == nil {
		t.Error("somebody was received from who is not named any more")
	}
	apply(ReceiveOptions{Accept: policy.Verified})
	if err := send("unverified", "x"); err == nil {
		t.Error("an unverified key was enough")
	}
	if err := juliet.OMEMO().Verify(t.Context(), jid.MustParse("romeo@jet.test"), romeo.OMEMO().Fingerprint()); err != nil {
		t.Fatal(err)
	}
	apply(ReceiveOptions{Accept: policy.Contacts})
	apply(ReceiveOptions{Accept: policy.Verified})
	if err := send("verified", "x"); err != nil {
		t.Errorf("verified: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := juliet.Alive(ctx); err != nil {
		t.Errorf("alive: %v", err)
	}
}

// has reports whether an event of the kind was reported.
func (e *events) has(kind string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Kind() == kind {
			return true
		}
	}
	return false
}

// TestAliveWhileSettling: a run that has a cut release to end, however long that
// takes, looks after the rest meanwhile, and says that it is alive.
func TestAliveWhileSettling(t *testing.T) {
	s := prosody(t)
	reported, release := make(chan struct{}), make(chan struct{})
	juliet := online(t, s, s.Addr, "juliet", true, func(ev event.Event) {
		if _, is := ev.(event.Received); is {
			close(reported)
			<-release
		}
	})
	dir := t.TempDir()
	cutRelease(t, juliet, journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
		Name: "f", Dir: dir, Size: 3, Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
	}, []byte("abc"))
	stale := filepath.Join(dir, ".jetsend-"+uuid.NewString()+".part")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tidied := func() bool {
		_, err := os.Stat(stale)
		return os.IsNotExist(err)
	}
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts, KeepFor: time.Nanosecond})
	<-reported
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := juliet.Alive(ctx); err != nil {
		t.Errorf("alive: %v", err)
	}
	if tidied() {
		t.Error("tidied up while a release was ended")
	}
	close(release)
	eventually(t, tidied)
}

// TestNotAlive: a run whose keeper hangs does not pass for one that lives.
func TestNotAlive(t *testing.T) {
	e := &Endpoint{}
	r := &receiver{e: &e.core, alive: make(chan chan struct{}, 1)}
	e.receiver.Store(r)
	ctx, cancel := context.WithCancelCause(t.Context())
	hung := errors.New("hung")
	time.AfterFunc(10*time.Millisecond, func() { cancel(hung) })
	if err := e.Alive(ctx); !errors.Is(err, hung) { // it is taken note of, and nothing comes of it
		t.Errorf("alive: %v", err)
	}
	if err := e.Alive(ctx); !errors.Is(err, hung) {
		t.Errorf("alive: %v", err)
	}
}

// TestImpatientDrain: a second signal ends the wait for what runs.
func TestImpatientDrain(t *testing.T) {
	s := prosody(t)
	var in events
	stop := make(chan struct{})
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		ended <- juliet.Receive(ctx, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, LimitRate: 1000, Drain: time.Hour, Stop: stop})
	}()
	sent := make(chan error, 1)
	go func() {
		sent <- romeo.Send(t.Context(), SendOptions{
			To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, strings.Repeat("x", 1<<20))}}, Wait: time.Minute,
		})
	}()
	for !in.has("negotiated") {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	select {
	case err := <-ended:
		t.Fatalf("not drained: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	cancel(fault.ErrTerminated)
	var f *fault.Failure
	if err := <-ended; !errors.As(err, &f) || f.Code != exitcode.Terminated {
		t.Errorf("received: %v", err)
	}
	if f, ok := last[event.Failed](&in); !ok || f.Code != int(exitcode.Terminated) {
		t.Errorf("failed: %+v", f)
	}
	if err := <-sent; err == nil {
		t.Error("the sender did not notice")
	}
}
