package sink

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"jetsend/internal/journal"
)

// loss is a download directory of which power loss takes what was not synced.
type loss struct {
	part, final string
	data        []byte
	synced      int      // bytes of the partial file that are
	undo        []func() // the changes of names that are not synced, in order
}

// steps are those of a receiver, in the order that package journal argues.
func (l *loss) steps(h *journal.Handle) []func() error {
	ctx := context.Background()
	half, all, spare := len(l.data)/2, len(l.data), l.part+".lost"
	return []func() error{
		func() error { return os.WriteFile(l.part, nil, 0o600) },
		func() error { return h.Run(ctx) },
		func() error { return os.WriteFile(l.part, l.data[:half], 0o600) },
		func() error { l.synced = half; return nil }, // of the directory as well
		func() error { return h.Progress(ctx, int64(half)) },
		func() error { return os.WriteFile(l.part, l.data, 0o600) },
		func() error { l.synced = all; return nil },
		func() error { return h.Place(l.final, nil) },
		func() error {
			l.undo = append(l.undo, func() { _ = os.Remove(l.final) })
			return os.Link(l.part, l.final)
		},
		func() error {
			l.undo = append(l.undo, func() { _ = os.Rename(spare, l.part) })
			return os.Rename(l.part, spare)
		},
		func() error { l.undo = nil; return os.Remove(spare) }, // the directory is synced
		h.Complete,
	}
}

// strike is the loss. keep says, bit by bit, which changes of names had reached the
// disk by chance; bytes that were not synced read as zeros.
func (l *loss) strike(t *testing.T, keep int) {
	t.Helper()
	if b, err := os.ReadFile(l.part); err == nil {
		clear(b[min(l.synced, len(b)):])
		if err := os.WriteFile(l.part, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := len(l.undo) - 1; i >= 0; i-- {
		if keep>>i&1 == 0 {
			l.undo[i]()
		}
	}
	_ = os.Remove(l.part + ".lost")
}

// TestPowerLoss: power is lost between any two steps of a download, and any part of
// the names that were not synced survives. A process that goes on from there finds
// no byte that was lost, and brings exactly the right file.
func TestPowerLoss(t *testing.T) {
	const steps, chances = 12, 4
	data := make([]byte, 1000)
	_, _ = rand.Read(data)
	for cut := range steps + 1 {
		for keep := range chances {
			k, dir := newKit(t), t.TempDir()
			row := k.parked(dir, int64(len(data)))
			h, err := k.Journal.Begin(t.Context(), row)
			if err != nil {
				t.Fatal(err)
			}
			l := &loss{part: filepath.Join(dir, ".jetsend-"+row.ID+".part"), final: filepath.Join(dir, "f"), data: data}
			for i, step := range l.steps(h)[:cut] {
				if err := step(); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			if err := h.Release(); err != nil { // as the lock goes with the process
				t.Fatal(err)
			}
			l.strike(t, keep)
			if err := k.goOn(k.load(row.Key), data); err != nil {
				t.Errorf("cut at %d, %b: %v", cut, keep, err)
			}
			entries, err := os.ReadDir(dir)
			if b, rerr := os.ReadFile(l.final); err != nil || rerr != nil || len(entries) != 1 || !bytes.Equal(b, data) {
				t.Errorf("cut at %d, %b: %v, %v, %v", cut, keep, entries, err, rerr)
			}
			if got := k.load(row.Key); got.State != journal.Complete {
				t.Errorf("cut at %d, %b: in the end %s", cut, keep, got.State)
			}
		}
	}
}

// TestAlteredBeforeRelease: a file that was verified before a crash is released
// after it if it is still that file, and else begins anew.
func TestAlteredBeforeRelease(t *testing.T) {
	data := []byte("verified before the crash")
	sum := sha256.Sum256(data)
	for _, altered := range []bool{false, true} {
		k, dir := newKit(t), t.TempDir()
		row := k.parked(dir, int64(len(data)))
		h, err := k.Journal.Begin(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		have := bytes.Clone(data)
		if altered {
			have[7] ^= 1
		}
		final := filepath.Join(dir, "f")
		err = errors.Join(h.Run(t.Context()), os.WriteFile(filepath.Join(dir, ".jetsend-"+row.ID+".part"), have, 0o600),
			h.Place(final, sum[:]), h.Release(), k.goOn(k.load(row.Key), data))
		if got, rerr := os.ReadFile(final); err != nil || rerr != nil || !bytes.Equal(got, data) {
			t.Errorf("altered %v: %q, %v, %v", altered, got, err, rerr)
		}
	}
}

// goOn takes a transfer up and brings it to its end, as a session would.
func (k *kit) goOn(row journal.Row, data []byte) error {
	k.t.Helper()
	ctx := k.t.Context()
	f, err := k.Resume(ctx, row, Options{})
	switch {
	case errors.Is(err, journal.ErrOver) && row.Released:
		return nil
	case err != nil:
		return err
	}
	if f.Path() == "" {
		have := make([]byte, f.Have())
		if _, err := f.part.ReadAt(have, 0); err != nil || !bytes.Equal(have, data[:len(have)]) {
			k.t.Errorf("%d bytes are said to be there and were lost: %v", len(have), err)
		}
		_, err = f.Write(data[f.Have():])
		err = errors.Join(err, f.Run(ctx, 0), f.Release(ctx, nil))
	}
	return errors.Join(err, f.Close())
}
