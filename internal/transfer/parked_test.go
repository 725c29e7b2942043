package transfer

import (
	"context"
	"errors"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/xmpptest"
)

// patient is a run that goes on waiting for what was interrupted.
var patient = RetryOptions{Retries: 5, For: time.Hour}

// TestParked: what waits in a daemon for its contact is reported, when its time is
// over, as what has become of it meanwhile in other hands.
func TestParked(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	ended := make(chan error, 1)
	go func() {
		ended <- st.juliet.Receive(t.Context(), ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: patient, Once: true})
	}()
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	failed, _ := last[event.Failed](&st.out)
	key := journal.Key{ID: failed.Transfer, Direction: journal.Receive}
	row, err := st.juliet.journal.Load(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}

	// Another process is at it: nothing is over.
	h, err := st.juliet.journal.Begin(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	r := st.juliet.receiver.Load()
	r.notify(key, &notice{}) // its time is over
	if f, ok := last[event.Failed](&st.in); ok {
		t.Fatalf("%+v", f)
	}
	if err := errors.Join(h.Interrupt(fault.ErrRunning), h.Release()); err != nil {
		t.Fatal(err)
	}

	// It brings the rest.
	st.through(t)
	other := onlineIn(t, st.juliet.cfg.StateDir, st.server, st.server.Addr, "juliet", false, nil)
	defer func() { _ = other.Close(context.Background()) }()
	listenAs(other, st.juliet.cfg.S5B)
	if err := other.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{key}, Named: true, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	r.notify(key, &notice{})
	if err := <-ended; err != nil {
		t.Errorf("receive --once: %v", err)
	}
	if got, _ := last[event.Received](&st.in); got.Transfer != key.ID || got.Path == "" || got.Size != row.Size {
		t.Errorf("%+v", got)
	}
	if received, failed := count[event.Received](&st.in), count[event.Failed](&st.in); received != 1 || failed != 0 {
		t.Errorf("%d received, %d failed", received, failed)
	}
	st.whole(t)
}

// TestParkedEnd: at the end of a run, what still waits can be resumed, but not when
// it was forgotten.
func TestParkedEnd(t *testing.T) {
	for name, forget := range map[string]bool{"kept": false, "forgotten": true} {
		t.Run(name, func(t *testing.T) {
			st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
			stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: patient})
			wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
			waitIdle(t, st.juliet)
			failed, _ := last[event.Failed](&st.out)
			if forget {
				if err := st.juliet.journal.Forget(t.Context(), journal.Key{ID: failed.Transfer, Direction: journal.Receive}, st.juliet.rows().Discard); err != nil {
					t.Fatal(err)
				}
			}
			stop()
			if f, _ := last[event.Failed](&st.in); f.Transfer != failed.Transfer || f.Code != int(exitcode.Interrupted) || f.Resumable == forget {
				t.Errorf("%+v", f)
			}
		})
	}
}

// TestParkedSend: the same for a file that a daemon sends on request.
func TestParkedSend(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<18))
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	stopSender := receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, Retry: patient})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	stop()
	failed, _ := last[event.Failed](&st.out)
	st.out.reset()
	st.through(t, xmpptest.CutAt(1<<18))
	wantCode(t, st.juliet.Resume(t.Context(), ResumeOptions{
		Transfers: []journal.Key{{ID: failed.Transfer, Direction: journal.Receive}}, Named: true, Wait: time.Minute,
		Route: route.Options{Transports: []string{route.S5B}},
	}), exitcode.Interrupted)
	waitIdle(t, st.romeo)
	st.through(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	other := onlineIn(t, st.romeo.cfg.StateDir, st.server, st.server.Addr, "romeo", false, nil)
	defer func() { _ = other.Close(context.Background()) }()
	listenAs(other, st.romeo.cfg.S5B)
	err := other.Resume(t.Context(), ResumeOptions{
		Transfers: []journal.Key{{ID: failed.Transfer, Direction: journal.Send}}, Named: true, Wait: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	stopSender()
	if got, _ := last[event.Sent](&st.out); got.Transfer != failed.Transfer || !got.VerifiedByPeer || count[event.Failed](&st.out) > 0 {
		t.Errorf("%+v", got)
	}
	st.arrived(t)
}
