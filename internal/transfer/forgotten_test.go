package transfer

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
)

// gone fails unless a transfer stayed forgotten, with nothing of it on the disk.
func (st *stage) gone(t *testing.T, key journal.Key) {
	t.Helper()
	if row := load(t, st.juliet, key); row.State != journal.Forgotten || row.Dir != "" {
		t.Errorf("it came back: %s in %q", row.State, row.Dir)
	}
	entries, err := os.ReadDir(st.dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%v in the directory: %v", entries, err)
	}
	if _, err := os.Lstat("file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in the current directory: %v", err)
	}
	if n := count[event.Received](&st.in); n != 0 {
		t.Errorf("%d received", n)
	}
}

// TestForgottenBefore: a transfer that is forgotten between the choice of what to
// resume and its turn is left out; when the user named it, that is an id that is
// not known.
func TestForgottenBefore(t *testing.T) {
	st, id := cutStage(t)
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	opt := ResumeOptions{Transfers: []journal.Key{{ID: id, Direction: journal.Receive}}, Wait: time.Minute}
	if err := st.juliet.journal.Forget(t.Context(), opt.Transfers[0], st.juliet.rows().Discard); err != nil {
		t.Fatal(err)
	}
	if err := st.juliet.Resume(t.Context(), opt); err != nil {
		t.Error(err)
	}
	if n := count[event.Failed](&st.in); n != 0 {
		t.Errorf("%d failed", n)
	}
	opt.Named = true
	wantCode(t, st.juliet.Resume(t.Context(), opt), exitcode.Usage)
	if f, _ := last[event.Failed](&st.in); !strings.Contains(f.Reason, "was forgotten") || f.Resumable || f.Transfer != id {
		t.Errorf("%+v", f)
	}
	st.gone(t, opt.Transfers[0])
	if err := remove(t, st.juliet, id); err != nil { // as Expire does
		t.Fatal(err)
	}
	wantCode(t, st.juliet.Resume(t.Context(), opt), exitcode.Usage)
	if f, _ := last[event.Failed](&st.in); !strings.Contains(f.Reason, "was forgotten") || f.Resumable {
		t.Errorf("%+v", f)
	}
}

func remove(t *testing.T, e *Endpoint, id string) error {
	_, err := e.db.ExecContext(t.Context(), `DELETE FROM transfers WHERE id = ?`, id)
	return err
}

// TestForgottenMeanwhile: a transfer that is forgotten in a pause of the run that
// asks for it stays forgotten.
func TestForgottenMeanwhile(t *testing.T) {
	st, id := cutStage(t)
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	key := journal.Key{ID: id, Direction: journal.Receive}
	// The sender holds its row, as if it were about to go on.
	h, err := st.romeo.journal.Begin(t.Context(), load(t, st.romeo, journal.Key{ID: id, Direction: journal.Send}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Release() }()
	resumed := make(chan error, 1)
	go func() {
		resumed <- st.juliet.Resume(t.Context(), ResumeOptions{
			Transfers: []journal.Key{key}, Wait: time.Minute, Retry: RetryOptions{Retries: 5, For: time.Minute},
		})
	}()
	eventually(t, func() bool { return count[event.Interrupted](&st.in) > 0 }) // answered with conflict
	eventually(t, func() bool { return st.juliet.journal.Forget(t.Context(), key, st.juliet.rows().Discard) == nil })
	if err := errors.Join(h.Interrupt(fault.ErrRunning), h.Release()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-resumed, exitcode.Usage)
	if f, _ := last[event.Failed](&st.in); !strings.Contains(f.Reason, "was forgotten") || f.Resumable || count[event.Failed](&st.in) != 1 {
		t.Errorf("%d failed, %+v", count[event.Failed](&st.in), f)
	}
	st.gone(t, key)
}

// TestForgottenInHand: a process that has read the row of a transfer before it
// was forgotten, as a daemon has that waits for the contact, cannot take it up.
func TestForgottenInHand(t *testing.T) {
	st, id := cutStage(t)
	key := journal.Key{ID: id, Direction: journal.Receive}
	row := load(t, st.juliet, key)
	if err := st.juliet.journal.Forget(t.Context(), key, st.juliet.rows().Discard); err != nil {
		t.Fatal(err)
	}
	err := newDownload(&st.juliet.core, row, row.Peer, keeping{}).resume(t.Context(), row)
	if !errors.Is(err, journal.ErrOver) {
		t.Error(err)
	}
	st.gone(t, key)
}
