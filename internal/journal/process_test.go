package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"jetsend/internal/state"
)

const (
	// roleVariable makes the test binary another process; pathVariable is the
	// database and idVariable the transfer that it works on.
	roleVariable = "JETSEND_TEST_JOURNAL_ROLE"
	pathVariable = "JETSEND_TEST_JOURNAL_STATE"
	idVariable   = "JETSEND_TEST_JOURNAL_ID"
)

func child(t *testing.T, role, path, id string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcess$")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, pathVariable+"="+path, idVariable+"="+id)
	return cmd
}

// TestProcess is no test by itself: it is what other processes run.
func TestProcess(t *testing.T) {
	role := os.Getenv(roleVariable)
	if role == "" {
		t.Skip("only run by other tests")
	}
	k := openKit(t, os.Getenv(pathVariable), &clock{t: time.Now()})
	id := os.Getenv(idVariable)
	switch role {
	case "contend":
		contend(k, id)
	case "receive":
		if err := receive(t.Context(), k, id); err != nil {
			t.Fatal(err)
		}
		fmt.Println("done")
	case "hold":
		h, err := k.Begin(t.Context(), received(id, filepath.Dir(k.path)))
		if err == nil {
			err = h.Run(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		time.Sleep(time.Hour) // it is killed
	}
}

const (
	contenders = 3
	turns      = 15 // that each of them gets
)

// contend gets its turns at one transfer and proves that it is alone each time.
func contend(k *kit, id string) {
	ctx := k.t.Context()
	mark := filepath.Join(filepath.Dir(k.path), "alone")
	for n := 0; n < turns; {
		h, err := k.Begin(ctx, sent(id))
		if errors.Is(err, ErrRunning) {
			if _, err := k.List(ctx, Filter{}); err != nil { // looking must not disturb
				k.t.Fatal(err)
			}
			continue
		}
		if err != nil {
			k.t.Fatal(err)
		}
		n++
		f, err := os.OpenFile(mark, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			k.t.Fatal("two processes run one transfer: ", err)
		}
		if err := errors.Join(f.Close(), h.Run(ctx)); err != nil {
			k.t.Fatal(err)
		}
		if got := k.load(h.Row().Key); got.State != Running {
			k.t.Fatalf("somebody made it %s", got.State)
		}
		if err := errors.Join(os.Remove(mark), h.Release()); err != nil {
			k.t.Fatal(err)
		}
	}
}

// Of several processes, and while others look and sweep, one at a time runs a
// transfer, and none of their turns is lost.
func TestContention(t *testing.T) {
	k := newKit(t)
	id := newID()
	ctx, stop := context.WithCancel(t.Context())
	var children, looking sync.WaitGroup
	for range contenders {
		children.Go(func() {
			if out, err := child(t, "contend", k.path, id).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	looking.Go(func() {
		for ctx.Err() == nil {
			if _, err := k.Expire(ctx, time.Nanosecond, keep); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			k.clock.add(-time.Hour) // so that nothing is old
		}
	})
	children.Wait()
	stop()
	looking.Wait()
	if got := k.load(Key{id, Send}); got.Retries != contenders*turns-1 || got.State != Interrupted {
		t.Errorf("%d retries, %s", got.Retries, got.State)
	}
}

const (
	fileSize  = 512 << 10
	pieceSize = 64 << 10
)

// content is the file that receive gets, and different at every byte's place.
func content() []byte {
	b := make([]byte, fileSize)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func partPath(r Row) string { return filepath.Join(r.Dir, ".jetsend-"+r.ID+".part") }

// receive takes a file as the package comment says, going on from whatever it
// finds, and prints a line at every step.
func receive(ctx context.Context, k *kit, id string) error {
	row := received(id, filepath.Join(filepath.Dir(k.path), "inbox"))
	row.Size = fileSize
	h, err := k.Begin(ctx, row)
	if errors.Is(err, ErrOver) {
		return nil
	}
	if err != nil {
		return err
	}
	done, err := recoverPlaced(ctx, h)
	if err == nil && !done {
		err = errors.Join(h.Run(ctx), fill(ctx, h))
		if err == nil {
			err = place(ctx, h, filepath.Join(row.Dir, row.Name))
		}
	}
	return errors.Join(err, h.Release())
}

// recoverPlaced decides what a crash after Place has left.
func recoverPlaced(ctx context.Context, h *Handle) (done bool, err error) {
	r := h.Row()
	if r.Path == "" {
		return false, nil
	}
	part, perr := os.Lstat(partPath(r))
	final, ferr := os.Lstat(r.Path)
	switch {
	case perr == nil && (ferr != nil || !os.SameFile(part, final)):
		return false, nil // all there, not placed
	case perr == nil:
		if err := os.Remove(partPath(r)); err != nil {
			return false, err
		}
	case ferr != nil || final.Size() != r.Size:
		return false, h.Rewind(0)
	}
	return true, errors.Join(syncDir(r.Dir), h.Complete())
}

// fill writes what is missing.
func fill(ctx context.Context, h *Handle) error {
	r := h.Row()
	f, err := os.OpenFile(partPath(r), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() < r.Durable {
		err = fmt.Errorf("%d bytes are recorded and %d there", r.Durable, info.Size())
	}
	if err == nil {
		err = errors.Join(f.Truncate(r.Durable), syncDir(r.Dir))
	}
	if err != nil {
		return err
	}
	all := content()
	for at := r.Durable; at < fileSize; at += pieceSize {
		if _, err := f.WriteAt(all[at:at+pieceSize], at); err != nil {
			return err
		}
		fmt.Println("written", at)
		if err := errors.Join(f.Sync(), h.Progress(ctx, at+pieceSize)); err != nil {
			return err
		}
		fmt.Println("recorded", at)
	}
	return nil
}

// place gives the file its name.
func place(ctx context.Context, h *Handle, path string) error {
	r := h.Row()
	if err := h.Place(path, nil); err != nil {
		return err
	}
	fmt.Println("to be placed")
	if err := os.Link(partPath(r), path); err != nil {
		return err
	}
	fmt.Println("linked")
	if err := os.Remove(partPath(r)); err != nil {
		return err
	}
	fmt.Println("renamed")
	if err := errors.Join(syncDir(r.Dir), h.Complete()); err != nil {
		return err
	}
	fmt.Println("complete")
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// killAt starts another process and kills it with -9 after some lines; the last line
// that it wrote comes back, and whether it was done before. A receiver goes on until
// the kill comes.
func killAt(t *testing.T, role, path, id string, lines int) (last string, done bool) {
	t.Helper()
	cmd := child(t, role, path, id)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for in := bufio.NewScanner(out); lines > 0 && in.Scan(); lines-- {
		last = in.Text()
		fmt.Fprintln(&said, last)
		done = done || last == "done"
		if last == "FAIL" {
			t.Errorf("receiver: %s%s", &said, &errs)
		}
	}
	_ = cmd.Process.Kill() // may be gone
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // killed
	return last, done
}

// Killed with -9 again and again, at random moments and at each step of the
// release, the receiver goes on from what is recorded, and one file comes out.
func TestKill(t *testing.T) {
	const afterPieces = 2*fileSize/pieceSize + 1 // the line "to be placed"
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	first := []int{afterPieces, afterPieces + 1, afterPieces + 2, afterPieces + 3, 1 + r.IntN(afterPieces), 1 + r.IntN(afterPieces)}
	for _, n := range first {
		k := newKit(t)
		id := newID()
		dir := filepath.Join(filepath.Dir(k.path), "inbox")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		done := false
		for round := 0; !done; round++ {
			if round > 20 {
				t.Fatal("no end")
			}
			var last string
			last, done = killAt(t, "receive", k.path, id, n)
			checkCut(t, k, id, last)
			n = 2 + r.IntN(12)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("in the directory: %v, %v", entries, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "a.iso"))
		if err != nil || !bytes.Equal(b, content()) {
			t.Errorf("%d bytes of another file: %v", len(b), err)
		}
		if got := k.load(Key{id, Receive}); got.State != Complete || got.Path != filepath.Join(dir, "a.iso") {
			t.Errorf("in the end: %+v", got)
		}
	}
}

// checkCut holds the row against what is on the disk.
func checkCut(t *testing.T, k *kit, id, last string) {
	t.Helper()
	r, err := k.Load(t.Context(), Key{id, Receive})
	if errors.Is(err, ErrUnknown) {
		return // killed before Begin
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.State != Interrupted && r.State != Complete {
		t.Errorf("after %q: %s", last, r.State)
	}
	b, err := os.ReadFile(partPath(r))
	if errors.Is(err, fs.ErrNotExist) && r.Path != "" {
		b, err = os.ReadFile(r.Path)
	}
	if errors.Is(err, fs.ErrNotExist) && r.Durable == 0 {
		err = nil
	}
	if err != nil || int64(len(b)) < r.Durable || !bytes.Equal(b[:r.Durable], content()[:r.Durable]) {
		t.Errorf("after %q: %d bytes are recorded, %d on the disk: %v", last, r.Durable, len(b), err)
	}
	if r.State == Complete {
		if _, err := os.Lstat(r.Path); err != nil {
			t.Errorf("complete without its file: %v", err)
		}
	}
}

// A process that is killed while it holds the lock does not keep it.
func TestKilledHolder(t *testing.T) {
	k := newKit(t)
	id := newID()
	if last, _ := killAt(t, "hold", k.path, id, 1); last != "held" {
		t.Fatal(last)
	}
	if _, err := os.Stat(k.lockPath(Key{id, Receive})); err != nil {
		t.Errorf("the process did not hold the lock: %v", err)
	}
	l, err := state.LockFile(k.lockPath(Key{id, Receive}))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if got := k.load(Key{id, Receive}); got.State != Interrupted || got.LastError != crashed {
		t.Errorf("%s, %q", got.State, got.LastError)
	}
}
