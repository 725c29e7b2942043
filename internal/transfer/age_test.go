package transfer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/xmpptest"
)

const day = 24 * time.Hour

// cutStage is a stage on which a file was cut in the middle. Nobody is at it, and
// nobody receives any more.
func cutStage(t *testing.T) (st *stage, id string) {
	t.Helper()
	st = setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	stop()
	failed, _ := last[event.Failed](&st.out)
	st.through(t)
	st.in.reset()
	st.out.reset()
	return st, failed.Transfer
}

// partOf is the partial file of a transfer on the stage.
func (st *stage) partOf(id string) string { return filepath.Join(st.dir, ".jetsend-"+id+".part") }

// parked makes a received transfer that is interrupted, with nothing of it here.
func parked(t *testing.T, e *Endpoint, dir string, size int64) journal.Row {
	t.Helper()
	h, err := e.journal.Begin(t.Context(), journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
		Name: "f", Dir: dir, Size: size, Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Interrupt(fault.ErrStreamLost), h.Release()); err != nil {
		t.Fatal(err)
	}
	return h.Row()
}

// age makes the last byte of a transfer so old, and leaves the last attempt an hour ago.
func age(t *testing.T, e *Endpoint, id string, d time.Duration) (moved time.Time) {
	t.Helper()
	now := time.Now()
	moved = now.Add(-d).Truncate(time.Millisecond)
	const query = `UPDATE transfers SET updated = ?, moved = ? WHERE id = ?`
	if _, err := e.db.ExecContext(t.Context(), query, now.Add(-time.Hour).UnixMilli(), moved.UnixMilli(), id); err != nil {
		t.Fatal(err)
	}
	return moved
}

func load(t *testing.T, e *Endpoint, k journal.Key) journal.Row {
	t.Helper()
	row, err := e.journal.Load(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// TestRefusalsAge: a contact who refuses every request does not keep a transfer
// young: after auto_resume it is not asked for any more, and after
// keep_interrupted it and its partial file go.
func TestRefusalsAge(t *testing.T) {
	st, id := cutStage(t)
	key := journal.Key{ID: id, Direction: journal.Receive}
	old := parked(t, st.juliet, st.dir, 1<<20)
	age(t, st.juliet, old.ID, 8*day)
	moved := age(t, st.juliet, id, 6*day)
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, NoServe: true})
	opt := ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: 7 * day, KeepFor: 30 * day}
	stop := receiving(t, st.juliet, opt)
	eventually(t, func() bool {
		row := load(t, st.juliet, key)
		return row.Retries > 0 && row.State == journal.Interrupted
	})
	if row := load(t, st.juliet, key); !row.Moved.Equal(moved) || time.Since(row.Updated) > 30*time.Minute {
		t.Errorf("refused: moved %s, was %s; updated %s", row.Moved, moved, row.Updated)
	}
	if row := load(t, st.juliet, old.Key); row.Retries != 0 {
		t.Error("asked for what is older than auto_resume")
	}
	stop()
	if _, err := os.Stat(st.partOf(id)); err != nil {
		t.Fatal(err)
	}
	age(t, st.juliet, id, 31*day)
	receiving(t, st.juliet, opt)
	eventually(t, func() bool {
		_, err := st.juliet.journal.Load(t.Context(), key)
		return errors.Is(err, journal.ErrUnknown)
	})
	if _, err := os.Stat(st.partOf(id)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the partial file stays: %v", err)
	}
	load(t, st.juliet, old.Key)
}

// TestExpireWithoutDaemon: where nobody receives, `send` and `resume` throw away
// what is too old. A user who names a transfer still gets it.
func TestExpireWithoutDaemon(t *testing.T) {
	st, id := cutStage(t)
	sent, received := journal.Key{ID: id, Direction: journal.Send}, journal.Key{ID: id, Direction: journal.Receive}
	gone := func(e *Endpoint, key journal.Key) bool {
		_, err := e.journal.Load(t.Context(), key)
		return errors.Is(err, journal.ErrUnknown)
	}
	st.romeo.cfg.KeepFor, st.juliet.cfg.KeepFor = 30*day, 30*day
	age(t, st.romeo, id, 31*day)
	age(t, st.juliet, id, 31*day)
	opt := ResumeOptions{Transfers: []journal.Key{received}, Named: true}
	wantCode(t, st.juliet.Resume(t.Context(), opt), exitcode.Offline)
	if _, err := os.Stat(st.partOf(id)); err != nil || gone(st.juliet, received) {
		t.Errorf("the one that was named is gone: %v", err)
	}
	opt.Named = false
	if err := st.juliet.Resume(t.Context(), opt); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(st.partOf(id)); !errors.Is(err, fs.ErrNotExist) || !gone(st.juliet, received) {
		t.Errorf("resume keeps it: %v", err)
	}
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Offline) // nobody receives
	if !gone(st.romeo, sent) {
		t.Error("send keeps it")
	}
}
