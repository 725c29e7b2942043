package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/journal"
)

// open is the directory as a run has it.
func (k *kit) open(path string) *inbox.Dir {
	k.t.Helper()
	dir, err := inbox.Open(path)
	if err != nil {
		k.t.Fatal(err)
	}
	return dir
}

// TestTakeHeld: a transfer that is being worked on is waited for, in vain or not, and the
// directory is closed with what was not taken.
func TestTakeHeld(t *testing.T) {
	k, path := newKit(t), t.TempDir()
	row := offered(path, 100)
	held, err := k.Take(t.Context(), row, k.open(path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Resume(t.Context(), row, Options{}); !errors.Is(err, journal.ErrRunning) {
		t.Errorf("resumed: %v", err)
	}
	dir := k.open(path)
	if _, err := k.Take(t.Context(), row, dir, Options{}); !errors.Is(err, journal.ErrRunning) {
		t.Errorf("taken: %v", err)
	}
	if _, _, err := dir.Remains(row.ID); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the directory is open: %v", err)
	}
	k.Patience, k.Pause = time.Hour, time.Millisecond
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fault.ErrInterrupted)
	if _, err := k.Take(ctx, row, k.open(path), Options{}); !errors.Is(err, fault.ErrInterrupted) && !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	taken := make(chan error, 1)
	go func() {
		f, err := k.Take(t.Context(), row, k.open(path), Options{})
		if err == nil {
			err = f.Close()
		}
		taken <- err
	}()
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Error(err)
	}
}

// TestLeave: what a session leaves of a file, by how it ended. Twenty bytes were there
// before it, and it has brought thirty.
func TestLeave(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		state journal.State
		bytes int64
	}{
		"a part came":         {nil, journal.Interrupted, 20},
		"the path broke":      {fault.ErrStreamLost, journal.Interrupted, 50},
		"stopped by hand":     {fault.ErrInterrupted, journal.Interrupted, 50},
		"the tag is wrong":    {crypto.ErrAuthentication, journal.Interrupted, 20},
		"another file":        {fault.ErrChecksum, journal.Interrupted, 0},
		"no place for a name": {inbox.ErrExists, journal.Failed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			k, path := newKit(t), t.TempDir()
			f, err := k.Take(t.Context(), offered(path, 100), k.open(path), Options{Known: true})
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Write(make([]byte, 20))
			if err = errors.Join(err, f.Run(t.Context(), 20), f.Sync(t.Context())); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(make([]byte, 30)); err != nil {
				t.Fatal(err)
			}
			row, lost := f.Leave(tt.err)
			if row.State != tt.state || row.Durable != tt.bytes || lost != nil {
				t.Errorf("%s with %d bytes, %v", row.State, row.Durable, lost)
			}
			_, err = os.Stat(filepath.Join(path, ".jetsend-"+row.ID+".part"))
			if there := err == nil; there != (tt.bytes > 0) {
				t.Errorf("the partial file is there: %v", there)
			}
			if now := k.load(row.Key); now.State != row.State || now.Durable != row.Durable {
				t.Errorf("then %s with %d bytes", now.State, now.Durable)
			}
		})
	}
}

// TestSweep: of the old partial files those go that no row knows of.
func TestSweep(t *testing.T) {
	k, path := newKit(t), t.TempDir()
	known, gone := k.parked(path, 10), offered(path, 10)
	part := func(row journal.Row) string { return filepath.Join(path, ".jetsend-"+row.ID+".part") }
	for _, row := range []journal.Row{known, gone} {
		if err := os.WriteFile(part(row), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := k.open(path)
	defer func() { _ = dir.Close() }()
	if err := k.Sweep(t.Context(), dir, time.Hour, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part(known)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(part(gone)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if err := errors.Join(Discard(t.TempDir(), &known), Discard(t.TempDir(), &known)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(part(known)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not discarded: %v", err)
	}
}

// TestSweepSets: so it is with the hidden directories of sets, and with what is remembered of
// sets and folders: nothing grows with what a contact has sent and the user removed.
func TestSweepSets(t *testing.T) {
	k, path := newKit(t), t.TempDir()
	k.Sets = t.TempDir()
	known, gone := k.parked(path, 10), offered(path, 10)
	record := func(of string) string {
		sum := sha256.Sum256([]byte(of))
		return filepath.Join(k.Sets, "folders", hex.EncodeToString(sum[:])+".rec")
	}
	kept, removed := filepath.Join(path, "kept"), filepath.Join(path, "removed")
	var stay, leave []string
	for _, row := range []journal.Row{known, gone} {
		hidden, state := filepath.Join(path, ".jetsend-"+row.ID+".set"), filepath.Join(k.Sets, row.ID)
		if err := errors.Join(os.Mkdir(hidden, 0o700), os.MkdirAll(state, 0o700)); err != nil {
			t.Fatal(err)
		}
		if row.ID == known.ID {
			stay = append(stay, hidden, state)
		} else {
			leave = append(leave, hidden, state)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(k.Sets, "folders"), 0o700), os.WriteFile(record(kept), nil, 0o600), os.WriteFile(record(removed), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	stay, leave = append(stay, record(kept)), append(leave, record(removed))
	id := make([]byte, journal.FolderIDSize)
	if err := k.Journal.RememberFolder(t.Context(), journal.Folder{Peer: known.Peer, Direction: journal.Receive, ID: id, Path: kept}); err != nil {
		t.Fatal(err)
	}
	dir := k.open(path)
	defer func() { _ = dir.Close() }()
	if err := k.Sweep(t.Context(), dir, time.Hour, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(record(removed)); err != nil {
		t.Error("a record that was just written is gone")
	}
	if err := k.Sweep(t.Context(), dir, time.Hour, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, path := range stay {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	for _, path := range leave {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}
