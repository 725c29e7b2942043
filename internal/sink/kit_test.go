package sink

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kit is a store with a journal of its own.
type kit struct {
	Store
	t *testing.T
}

func newKit(t *testing.T) *kit {
	t.Helper()
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &kit{Store{Journal: j, Log: slog.New(slog.DiscardHandler)}, t}
}

// offered is a transfer that the journal does not have yet.
func offered(dir string, size int64) journal.Row {
	return journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
		Name: "f", Dir: dir, Size: size, Source: journal.SourceFile, Keys: [][]byte{make([]byte, 33)},
	}
}

// parked makes a transfer that is interrupted, with nothing of it here.
func (k *kit) parked(dir string, size int64) journal.Row {
	k.t.Helper()
	h, err := k.Journal.Begin(k.t.Context(), offered(dir, size))
	if err != nil {
		k.t.Fatal(err)
	}
	if err := errors.Join(h.Interrupt(fault.ErrStreamLost), h.Release()); err != nil {
		k.t.Fatal(err)
	}
	return h.Row()
}

func (k *kit) load(key journal.Key) journal.Row {
	k.t.Helper()
	row, err := k.Journal.Load(k.t.Context(), key)
	if err != nil {
		k.t.Fatal(err)
	}
	return row
}
