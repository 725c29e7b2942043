package transfer

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/charge"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// midway calls do once, when bytes of a file are under way.
func midway(do func()) func(event.Event) {
	called := false
	return func(e event.Event) {
		if p, moves := e.(event.Progress); moves && p.Bytes > 0 && !called {
			called = true
			do()
		}
	}
}

// slowly is a send that takes ten seconds, which no test lets it have.
func (st *stage) slowly(ctx context.Context) error {
	return st.romeo.Send(ctx, SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Minute,
		LimitRate: int64(len(st.data) / 10), Route: route.Options{Transports: []string{route.S5B}},
	})
}

// rows are those of the one transfer of the stage.
func (st *stage) rows(t *testing.T) (sent, received journal.Row) {
	t.Helper()
	for e, row := range map[*Endpoint]*journal.Row{st.romeo: &sent, st.juliet: &received} {
		all, err := e.journal.List(t.Context(), journal.Filter{})
		if err != nil || len(all) != 1 {
			t.Fatalf("%d transfers: %v", len(all), err)
		}
		*row = all[0]
	}
	return sent, received
}

// asksNothing fails if juliet's daemon asks romeo's for the transfer by itself.
func (st *stage) asksNothing(t *testing.T, id string) {
	t.Helper()
	age(t, st.juliet, id, time.Hour) // else nobody asks in the first seconds
	if len(st.juliet.sess.Resources(jid.MustParse("romeo@jet.test"))) == 0 {
		eventually(t, func() bool { return len(st.juliet.sess.Resources(jid.MustParse("romeo@jet.test"))) > 0 })
	}
	for range 2 { // the first look may have begun before
		if err := st.juliet.Alive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitIdle(t, st.juliet)
	if row := load(t, st.juliet, journal.Key{ID: id, Direction: journal.Receive}); row.Retries != 0 {
		t.Errorf("it was asked for: %+v", row)
	}
}

// TestPauseBySender: what the sender's user stops by hand is not asked for, nor served,
// until `resume` there. A request, as of a receiver who was never told, is refused.
func TestPauseBySender(t *testing.T) {
	st := setStage(t, 4<<20)
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
	ctx, interrupt := context.WithCancelCause(t.Context())
	st.out.tell(midway(func() { interrupt(fault.ErrInterrupted) }))
	wantCode(t, st.slowly(ctx), exitcode.Cancelled)
	waitIdle(t, st.juliet)
	sent, received := st.rows(t)
	if sent.Paused != journal.PausedHere || received.Paused != journal.PausedThere || received.Durable == 0 {
		t.Fatalf("%+v\n%+v", sent, received)
	}
	if f, _ := last[event.Failed](&st.in); f.Code != int(exitcode.Declined) || !f.Resumable || !strings.Contains(f.Reason, "by hand") || len(f.Hints) != 1 {
		t.Errorf("%+v", f)
	}
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	st.asksNothing(t, sent.ID)
	stop()
	st.in.reset()
	wantCode(t, <-st.resume(t, st.juliet, sent.ID, journal.Receive), exitcode.Declined)
	if f, _ := last[event.Failed](&st.in); !f.Resumable || !strings.Contains(f.Reason, "by hand") {
		t.Errorf("%+v", f)
	}
	if _, received = st.rows(t); received.Paused != journal.PausedThere || received.Durable == 0 {
		t.Errorf("after the refusal: %+v", received)
	}
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	if err := <-st.resume(t, st.romeo, sent.ID, journal.Send); err != nil {
		t.Fatal(err)
	}
	if r, _ := last[event.Resumed](&st.out); r.Offset == 0 {
		t.Error("it began anew")
	}
	st.arrived(t)
}

// TestPauseByReceiver: what the receiver's user stops by hand is not asked for until
// `resume` there, and then served; nor does who has to be asked take it unasked.
func TestPauseByReceiver(t *testing.T) {
	st := setStage(t, 4<<20)
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	st.in.tell(midway(func() { interrupt(fault.ErrInterrupted) }))
	ended := make(chan error, 1)
	go func() { ended <- st.juliet.Receive(ctx, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts}) }()
	takesOffers(t, st.juliet)
	wantCode(t, st.slowly(t.Context()), exitcode.Declined)
	wantCode(t, <-ended, exitcode.Cancelled)
	sent, received := st.rows(t)
	if sent.Paused != journal.PausedThere || received.Paused != journal.PausedHere || received.Durable == 0 {
		t.Fatalf("%+v\n%+v", sent, received)
	}
	if f, _ := last[event.Failed](&st.out); !f.Resumable || !slices.Equal(f.Hints, []string{"ask the contact to run `jetsend resume`"}) {
		t.Errorf("%+v", f)
	}
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	asked := make(chan Question, 1)
	no := func(_ context.Context, q Question) (bool, error) { asked <- q; return false, nil }
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Ask, Ask: no, AutoResume: day})
	st.asksNothing(t, sent.ID)
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Declined)
	<-asked
	stop()
	if err := <-st.resume(t, st.juliet, sent.ID, journal.Receive); err != nil {
		t.Fatal(err)
	}
	st.whole(t)
}

// TestPauseWhileWaiting: to stop a `resume` that waits for the contact is a pause, too;
// to end it otherwise is none.
func TestPauseWhileWaiting(t *testing.T) {
	st, id := cutStage(t)
	key := journal.Key{ID: id, Direction: journal.Receive}
	if _, err := st.juliet.db.ExecContext(t.Context(), `UPDATE transfers SET peer = 'nurse@jet.test'`); err != nil { // who is not online
		t.Fatal(err)
	}
	want := journal.NotPaused
	for _, cause := range []error{fault.ErrTerminated, fault.ErrInterrupted} {
		ctx, cancel := context.WithCancelCause(t.Context())
		st.in.tell(func(e event.Event) {
			if _, waits := e.(event.Waiting); waits {
				cancel(cause)
			}
		})
		err := st.juliet.Resume(ctx, ResumeOptions{Transfers: []journal.Key{key}, Named: true, Wait: time.Minute})
		if row := load(t, st.juliet, key); row.Paused != want || row.State != journal.Interrupted || err == nil {
			t.Errorf("%v: %s, paused %q, %v", cause, row.State, row.Paused, err)
		}
		want = journal.PausedHere
	}
}

// TestStopWhileRequesting: to stop a receiver that asks for the rest of a file by itself,
// before that goes on, is no pause of the file: the next one goes on with it.
func TestStopWhileRequesting(t *testing.T) {
	st, id := cutStage(t)
	age(t, st.juliet, id, time.Hour)
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	ended, over := make(chan error, 1), make(chan struct{})
	st.out.tell(func(e event.Event) {
		if _, is := e.(event.Offer); is { // before the answer
			interrupt(fault.ErrInterrupted)
			<-over
		}
	})
	stop := receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	go func() {
		defer close(over)
		ended <- st.juliet.Receive(ctx, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
	}()
	wantCode(t, <-ended, exitcode.Cancelled)
	stop()
	for e, d := range map[*Endpoint]journal.Direction{st.juliet: journal.Receive, st.romeo: journal.Send} {
		row := load(t, e, journal.Key{ID: id, Direction: d})
		if row.State != journal.Interrupted || row.Paused != journal.NotPaused || d == journal.Receive && row.Retries == 0 {
			t.Errorf("%+v", row)
		}
	}
}

// TestStopBeforeServing: to stop a receiver that was about to hand out the rest of a file,
// of which its user knows nothing yet, is no pause of that file, nor is it told as one.
func TestStopBeforeServing(t *testing.T) {
	st, id := cutStage(t)
	age(t, st.juliet, id, time.Hour)
	sent := journal.Key{ID: id, Direction: journal.Send}
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	ended := make(chan error, 1)
	go func() { ended <- st.romeo.Receive(ctx, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts}) }()
	takesOffers(t, st.romeo)
	r := st.romeo.receiver.Load()
	for range charge.MaxRunningContact { // the request has to wait
		if err := r.places.Enter(t.Context(), jid.MustParse("juliet@jet.test")); err != nil {
			t.Fatal(err)
		}
	}
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
	eventually(t, func() bool { return load(t, st.romeo, sent).State.Live() })
	interrupt(fault.ErrInterrupted)
	wantCode(t, <-ended, exitcode.Cancelled)
	waitIdle(t, st.juliet)
	for e, key := range map[*Endpoint]journal.Key{st.juliet: {ID: id, Direction: journal.Receive}, st.romeo: sent} {
		eventually(t, func() bool { return load(t, e, key).State == journal.Interrupted })
		if row := load(t, e, key); row.Paused != journal.NotPaused {
			t.Errorf("%+v", row)
		}
	}
	if n := count[event.Failed](&st.out) + count[event.Failed](&st.in); n != 0 {
		t.Errorf("%d failed", n)
	}
}

// TestStopWhileAskedByHand: a user who stops a receiver instead of answering its
// question has nothing to resume, so nobody is told to do that.
func TestStopWhileAskedByHand(t *testing.T) {
	st := setStage(t, 1<<10)
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	ended := make(chan error, 1)
	go func() {
		ended <- st.juliet.Receive(ctx, ReceiveOptions{Dir: st.dir, Accept: policy.Ask, Ask: func(ctx context.Context, _ Question) (bool, error) {
			interrupt(fault.ErrInterrupted)
			<-ctx.Done()
			return false, context.Cause(ctx)
		}})
	}()
	takesOffers(t, st.juliet)
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Declined)
	wantCode(t, <-ended, exitcode.Cancelled)
	if f, _ := last[event.Failed](&st.out); f.Resumable || len(f.Hints) != 0 || strings.Contains(f.Reason, "by hand") {
		t.Errorf("%+v", f)
	}
}

// TestPauseBeforeTheAck: a user who stops a sender before it knows that its offer came
// tells the receiver so, too, which is asking its user by then.
func TestPauseBeforeTheAck(t *testing.T) {
	st := setStage(t, 1<<10)
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	var mu sync.Mutex
	var offer string
	tap := xmpptest.StartTap(t, st.server, func(_ xmpptest.Direction, raw []byte) [][]byte {
		mu.Lock()
		defer mu.Unlock()
		iq, err := xmltree.Parse(raw)
		switch {
		case err != nil:
		case word(iq) == "session-initiate":
			offer = iq.Attr("id")
		case offer != "" && iq.Attr("id") == offer:
			return nil
		}
		return [][]byte{raw}
	})
	st.romeo = online(t, st.server, tap.Addr, "romeo", false, st.out.report)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Ask, Ask: func(ctx context.Context, _ Question) (bool, error) {
		interrupt(fault.ErrInterrupted)
		<-ctx.Done()
		return false, context.Cause(ctx)
	}})
	wantCode(t, st.slowly(ctx), exitcode.Cancelled)
	waitIdle(t, st.juliet)
	if f, _ := last[event.Failed](&st.in); !strings.Contains(f.Reason, "stopped by hand") {
		t.Errorf("%+v", f)
	}
}

// TestPauseAtTheAnswer: to stop it right after the answer, before a path is found, is a
// pause, of which the sender is told under seal.
func TestPauseAtTheAnswer(t *testing.T) {
	st, id := cutStage(t)
	age(t, st.juliet, id, time.Hour)
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	st.in.tell(func(e event.Event) {
		if _, is := e.(event.Accepted); is {
			r := st.juliet.receiver.Load()
			interrupt(fault.ErrInterrupted)
			<-r.ctx.Done()
		}
	})
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	wantCode(t, st.juliet.Receive(ctx, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day}), exitcode.Cancelled)
	waitIdle(t, st.romeo)
	for e, want := range map[*Endpoint]journal.Row{
		st.juliet: {Key: journal.Key{ID: id, Direction: journal.Receive}, Paused: journal.PausedHere},
		st.romeo:  {Key: journal.Key{ID: id, Direction: journal.Send}, Paused: journal.PausedThere},
	} {
		if row := load(t, e, want.Key); row.State != journal.Interrupted || row.Paused != want.Paused {
			t.Errorf("%+v", row)
		}
	}
}

// TestForgetIsTold: a receiver that asks for the rest of what the sender has forgotten
// is told so, and throws its part away.
func TestForgetIsTold(t *testing.T) {
	st, id := cutStage(t)
	if err := st.romeo.journal.Forget(t.Context(), journal.Key{ID: id, Direction: journal.Send}, st.romeo.rows().Discard); err != nil {
		t.Fatal(err)
	}
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	age(t, st.juliet, id, time.Hour)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
	st.ended(t, id, exitcode.Declined)
}

// ended waits until juliet has ended the transfer for good, and fails unless she has
// said so once and kept nothing.
func (st *stage) ended(t *testing.T, id string, code exitcode.Code) {
	t.Helper()
	key := journal.Key{ID: id, Direction: journal.Receive}
	eventually(t, func() bool { return load(t, st.juliet, key).State == journal.Failed })
	waitIdle(t, st.juliet)
	eventually(t, func() bool { return count[event.Failed](&st.in) > 0 })
	f, _ := last[event.Failed](&st.in)
	if f.Code != int(code) || f.Resumable || f.Transfer != id || count[event.Failed](&st.in) != 1 {
		t.Errorf("%d failed, %+v", count[event.Failed](&st.in), f)
	}
	if _, err := os.Lstat(st.partOf(id)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partial file is there: %v", err)
	}
}

// TestForgetIsToldLater: a receiver who was told of a pause asks for nothing; the next
// file from there tells it what was forgotten. Nobody else's word counts.
func TestForgetIsToldLater(t *testing.T) {
	st := setStage(t, 4<<20)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
	ctx, interrupt := context.WithCancelCause(t.Context())
	st.out.tell(midway(func() { interrupt(fault.ErrInterrupted) }))
	wantCode(t, st.slowly(ctx), exitcode.Cancelled)
	waitIdle(t, st.juliet)
	sent, received := st.rows(t)
	st.in.reset()
	if err := st.romeo.journal.Forget(t.Context(), sent.Key, st.romeo.rows().Discard); err != nil {
		t.Fatal(err)
	}
	in := &incoming{r: st.juliet.receiver.Load(), e: &st.juliet.core, d: sealedIn(t, profile.Offer{Gone: []string{sent.ID}}).Dialect}
	in.dev.JID, in.dev.IdentityKey = received.Peer, make([]byte, 33)
	in.dropAbandoned(t.Context())
	if row := load(t, st.juliet, received.Key); row.State != journal.Interrupted {
		t.Fatalf("another key has ended it: %+v", row)
	}
	st.path = testFile(t, "small")
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	st.ended(t, sent.ID, exitcode.Declined)
}

// TestGoneIsLookedFor: what a contact says that it gave up is looked for without a write,
// which others would have to wait for, or he for them.
func TestGoneIsLookedFor(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	h, err := juliet.journal.Begin(t.Context(), journal.Row{ // runs, so that others look whether it still does
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("nurse@jet.test"), Profile: true,
		Name: "f", Dir: t.TempDir(), Size: 10, Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Release() }()
	in := &incoming{e: &juliet.core, d: sealedIn(t, profile.Offer{Gone: []string{uuid.NewString()}}).Dialect}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = state.Write(ctx, juliet.db, func(*sql.Tx) error {
		in.dropAbandoned(ctx)
		return ctx.Err()
	})
	if err != nil {
		t.Errorf("waits for others: %v", err)
	}
}

// TestSourceChangedEndsBoth: when the file has changed, both ends are through with the
// transfer: nobody asks again, nothing is kept, no command to resume it is named.
func TestSourceChangedEndsBoth(t *testing.T) {
	touch := func(path string) {
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Error(err)
		}
	}
	t.Run("in the middle", func(t *testing.T) {
		st := setStage(t, 4<<20)
		receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
		st.out.tell(midway(func() { touch(st.path) }))
		opt := SendOptions{
			To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Minute,
			LimitRate: 4 << 20, Route: route.Options{Transports: []string{route.S5B}},
		}
		wantCode(t, st.romeo.Send(t.Context(), opt), exitcode.LocalFile)
		f, _ := last[event.Failed](&st.out)
		if f.Resumable {
			t.Errorf("%+v", f)
		}
		st.ended(t, f.Transfer, exitcode.LocalFile)
	})
	t.Run("between two sessions", func(t *testing.T) {
		st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
		row := st.cutForGood(t)
		touch(st.path)
		st.in.reset()
		age(t, st.juliet, row.ID, time.Hour)
		receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: day})
		st.ended(t, row.ID, exitcode.LocalFile)
		if row = load(t, st.romeo, row.Key); row.State != journal.Failed {
			t.Errorf("the sender's row: %+v", row)
		}
	})
}
