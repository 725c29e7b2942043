package transfer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/xmpptest"
)

// TestAdvance: a session that brings bytes is progress, also after the receiver
// has lost what it had; but not for ever.
func TestAdvance(t *testing.T) {
	r := retry{farthest: 500}
	for i, tt := range []struct {
		from, durable int64
		want          bool
	}{
		{500, 500, false}, // nothing came
		{500, 600, true},
		{600, 600, false},
		{0, 128, true}, // it was lost, and comes again
		{128, 256, true},
		{256, 256, false},
		{0, 0, false}, // lost again, and nothing came
		{0, 128, true},
		{0, 128, false}, // the same once more is going round in circles
		{0, 256, true},
	} {
		if got := r.advance(tt.from, tt.durable); got != tt.want {
			t.Errorf("step %d, from %d to %d: %v", i, tt.from, tt.durable, got)
		}
	}
}

// TestLostPart: a receiver that has lost what it had of a file of several sessions
// gets it anew, whoever opens the sessions, and without a failure in between.
func TestLostPart(t *testing.T) {
	for _, by := range []journal.Direction{journal.Send, journal.Receive} {
		t.Run(string(by)+" resumes", func(t *testing.T) {
			st := setStage(t, 1<<20, xmpptest.CutAt(100<<10))
			st.romeo.cfg.SessionLimit = 128 << 10
			stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: AcceptContacts})
			receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
			wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
			waitIdle(t, st.juliet)
			failed, _ := last[Failed](&st.out)
			parts, err := filepath.Glob(filepath.Join(st.dir, ".jetsend-*.part"))
			if err != nil || len(parts) != 1 {
				t.Fatal(parts, err)
			}
			if err := os.Remove(parts[0]); err != nil {
				t.Fatal(err)
			}
			e := st.romeo
			if by == journal.Receive {
				stop()
				e = st.juliet
			}
			// As when it had come farther than one session brings.
			for _, e := range []*Endpoint{st.romeo, st.juliet} {
				if _, err := e.db.ExecContext(t.Context(), `UPDATE transfers SET durable = 640*1024`); err != nil {
					t.Fatal(err)
				}
			}
			st.through(t)
			err = e.Resume(t.Context(), ResumeOptions{
				Transfers: []journal.Key{{ID: failed.Transfer, Direction: by}}, Named: true, Wait: time.Minute,
				Route: RouteOptions{Transports: []string{S5B}},
			})
			if err != nil {
				t.Fatal(err)
			}
			waitIdle(t, st.romeo)
			if by == journal.Send {
				waitIdle(t, st.juliet)
			}
			st.whole(t)
		})
	}
}

// TestNextInUse: attempts that meet the contact's own session are bounded by time
// alone, and by a run that tries nothing again.
func TestNextInUse(t *testing.T) {
	now := time.Now()
	r := retry{pauses: usual.retries, opt: RetryOptions{Retries: 2, For: 10 * time.Minute}}
	for i := range 20 {
		pause, more := r.next(now, errInUse)
		if !more || pause <= 0 || pause > usual.retries.Last {
			t.Fatalf("after %d: %v %v", i, pause, more)
		}
	}
	for i := range r.opt.Retries { // what breaks counts as ever
		if _, more := r.next(now, errStreamLost); !more {
			t.Fatalf("%d failures were too many", i+1)
		}
	}
	if _, more := r.next(now, errStreamLost); more {
		t.Error("more failures than retries")
	}
	if _, more := r.next(now.Add(r.opt.For), errInUse); more {
		t.Error("for longer than it may try")
	}
	r = retry{pauses: usual.retries, opt: RetryOptions{For: 10 * time.Minute}}
	if _, more := r.next(now, errInUse); more {
		t.Error("tried again without retries")
	}
}

// TestInUse: a request that meets the contact's own session for the transfer,
// which may hang, is made again for longer than the retries last, and is no refusal.
func TestInUse(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	row := st.cutForGood(t)
	held, err := st.romeo.journal.Begin(t.Context(), row) // as a session that hangs
	if err != nil {
		t.Fatal(err)
	}
	resume := func(retries int) error {
		return st.juliet.Resume(t.Context(), ResumeOptions{
			Transfers: []journal.Key{{ID: row.ID, Direction: journal.Receive}}, Named: true, Wait: time.Minute,
			Retry: RetryOptions{Retries: retries, For: time.Minute}, Route: RouteOptions{Transports: []string{S5B}},
		})
	}
	wantCode(t, resume(0), exitcode.Interrupted)
	if f, _ := last[Failed](&st.in); !f.Resumable {
		t.Errorf("%+v", f)
	}
	st.in.reset()
	ended := make(chan error, 1)
	go func() { ended <- resume(1) }()
	eventually(t, func() bool { return count[Interrupted](&st.in) > 2 || count[Failed](&st.in) > 0 })
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	st.whole(t)
}

// TestSourceLost: a file that cannot be read for now, because its disk was pulled out,
// ends no transfer for good; one that has changed does. What is in a directory counts as
// the directory.
func TestSourceLost(t *testing.T) {
	o := &upload{accepted: true, row: &journal.Handle{}}
	if !fault.Of(&sourceError{Err: syscall.EIO}).Resumable(o.standing()) {
		t.Error("a file that cannot be read ends its transfer")
	}
	if fault.Of(&sourceError{Err: errSourceChanged}).Resumable(o.standing()) {
		t.Error("a file that has changed can be gone on with")
	}
	file := testFile(t, "something")
	src, err := openSource(t.Context(), Source{Path: filepath.Dir(file)})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSources([]*source{src})
	if err := os.Truncate(file, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(src.Data, 0, src.Size)); !errors.Is(err, errSourceChanged) {
		t.Errorf("read what was cut: %v", err)
	}
}
