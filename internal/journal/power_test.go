package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// disk is a download directory of which power loss takes what was not synced.
type disk struct {
	t      *testing.T
	dir    string
	part   string
	final  string
	synced int64    // bytes of the partial file that are
	undo   []func() // the changes of names that are not synced, in order
}

// lose is power loss. keep says, bit by bit, which of the names' changes had
// reached the disk by chance; bytes that were not synced read as zeros.
func (d *disk) lose(keep int) {
	if b, err := os.ReadFile(d.part); err == nil {
		clear(b[d.synced:])
		if err := os.WriteFile(d.part, b, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	for i := len(d.undo) - 1; i >= 0; i-- {
		if keep>>i&1 == 0 {
			d.undo[i]()
		}
	}
}

// steps are those of a receiver, in the order of the package comment.
func (d *disk) steps(h *Handle) []func() error {
	ctx := context.Background()
	all := content()
	half := int64(fileSize / 2)
	write := func(from, to int64) error {
		f, err := os.OpenFile(d.part, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(all[from:to], from)
		return errors.Join(err, f.Close())
	}
	return []func() error{
		func() error { return h.Run(ctx) },
		func() error { return write(0, half) },
		func() error { d.synced = half; return nil }, // fsync, of the directory as well
		func() error { return h.Progress(ctx, half) },
		func() error { return write(half, fileSize) },
		func() error { d.synced = fileSize; return nil },
		func() error { return h.Place(ctx, d.final, nil) },
		func() error {
			d.undo = append(d.undo, func() { _ = os.Remove(d.final) })
			return os.Link(d.part, d.final)
		},
		func() error {
			spare := d.part + ".lost"
			d.undo = append(d.undo, func() { _ = os.Rename(spare, d.part) })
			return os.Rename(d.part, spare)
		},
		func() error { d.undo = nil; return os.RemoveAll(d.part + ".lost") }, // fsync of the directory
		func() error { return h.Complete(ctx) },
	}
}

// Power loss between any two steps, with any part of the unsynced names
// surviving, leaves a row from which exactly the right file comes.
func TestPowerLoss(t *testing.T) {
	const steps, chances = 11, 4
	for cut := range steps + 1 {
		for keep := range chances {
			k := newKit(t)
			id := newID()
			dir := filepath.Join(filepath.Dir(k.path), "inbox")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			row := received(id, dir)
			row.Size = fileSize
			h := k.begin(row)
			d := &disk{t: t, dir: dir, part: partPath(row), final: filepath.Join(dir, row.Name)}
			for i, step := range d.steps(h)[:cut] {
				if err := step(); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			k.crash(h)
			d.lose(keep)
			_ = os.Remove(d.part + ".lost")
			got := k.load(row.Key)
			if want := cut == steps; (got.State == Complete) != want || !want && got.State != Interrupted {
				t.Errorf("cut at %d: %s", cut, got.State)
			}
			if b, err := os.ReadFile(d.part); err == nil && !bytes.Equal(b[:got.Durable], content()[:got.Durable]) {
				t.Errorf("cut at %d: %d bytes are recorded and were lost", cut, got.Durable)
			}
			if err := receive(t.Context(), k, id); err != nil {
				t.Errorf("cut at %d, %b: %v", cut, keep, err)
			}
			entries, err := os.ReadDir(dir)
			if b, rerr := os.ReadFile(d.final); err != nil || rerr != nil || len(entries) != 1 || !bytes.Equal(b, content()) {
				t.Errorf("cut at %d, %b: %v, %v, %v", cut, keep, entries, err, rerr)
			}
			if got := k.load(row.Key); got.State != Complete {
				t.Errorf("cut at %d, %b: in the end %s", cut, keep, got.State)
			}
		}
	}
}
