package transfer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestLostPart: a receiver that has lost what it had of a file of several sessions
// gets it anew, whoever opens the sessions, and without a failure in between.
func TestLostPart(t *testing.T) {
	for _, by := range []journal.Direction{journal.Send, journal.Receive} {
		t.Run(string(by)+" resumes", func(t *testing.T) {
			st := setStage(t, 1<<20, xmpptest.CutAt(100<<10))
			st.romeo.cfg.SessionLimit = 128 << 10
			stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
			receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
			wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
			waitIdle(t, st.juliet)
			failed, _ := last[event.Failed](&st.out)
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
				Route: route.Options{Transports: []string{route.S5B}},
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
			Retry: RetryOptions{Retries: retries, For: time.Minute}, Route: route.Options{Transports: []string{route.S5B}},
		})
	}
	wantCode(t, resume(0), exitcode.Interrupted)
	if f, _ := last[event.Failed](&st.in); !f.Resumable {
		t.Errorf("%+v", f)
	}
	st.in.reset()
	ended := make(chan error, 1)
	go func() { ended <- resume(1) }()
	eventually(t, func() bool { return count[event.Interrupted](&st.in) > 2 || count[event.Failed](&st.in) > 0 })
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	st.whole(t)
}

// TestSourceLost: a file that cannot be read for now, because its disk was pulled out,
// ends no transfer for good; one that has changed does. A file in a directory counts as
// the directory.
func TestSourceLost(t *testing.T) {
	o := &upload{accepted: true, row: &journal.Handle{}}
	if !fault.Of(&source.Error{Err: syscall.EIO}).Resumable(o.standing()) {
		t.Error("a file that cannot be read ends its transfer")
	}
	if fault.Of(&source.Error{Err: source.ErrChanged}).Resumable(o.standing()) {
		t.Error("a file that has changed can be gone on with")
	}
	file := testFile(t, "something")
	src, err := source.Open(t.Context(), source.Named{Path: filepath.Dir(file)})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close(src)
	if err := os.Truncate(file, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(src.Data, 0, src.Size)); !errors.Is(err, source.ErrChanged) {
		t.Errorf("read what was cut: %v", err)
	}
}
