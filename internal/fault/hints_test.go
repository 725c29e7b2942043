package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/state"
	"jetsend/internal/stream"
)

// TestTrustReason: a user who is refused for a key is told that alone, and the key
// in the groups in which people compare it.
func TestTrustReason(t *testing.T) {
	trust := &omemo.TrustError{JID: jid.MustParse("a@b.example"), Device: 7, Fingerprint: strings.Repeat("61", 32), Known: strings.Repeat("62", 32), Kind: omemo.Changed}
	f := New(fmt.Errorf("encrypt for a@b.example: %w; device 7: %w", omemo.ErrNoDevice, trust), false)
	if f.Code != exitcode.Untrusted || f.Error() != "the key of device 7 of a@b.example has changed" {
		t.Errorf("%d, %s", f.Code, f)
	}
	hints := strings.Join(f.Hints, "\n")
	for _, want := range []string{Grouped(strings.Repeat("61", 32)), Grouped(strings.Repeat("62", 32)), "`jetsend trust verify a@b.example " + strings.Repeat("61", 32) + "`"} {
		if !strings.Contains(hints, want) {
			t.Errorf("%q is not in:\n%s", want, hints)
		}
	}
	if f := New(fmt.Errorf("encrypt: %w", omemo.ErrNoDevice), false); f.Code != exitcode.Untrusted || len(f.Hints) != 1 || f.Hints[0] != NoOMEMO {
		t.Errorf("no device: %+v", f)
	}
	dry := fmt.Errorf("encrypt: %w; device 7: %w", omemo.ErrNoDevice, omemo.ErrNoPrekeys)
	if f := New(dry, false); f.Code != exitcode.Untrusted || len(f.Hints) == 0 || !strings.Contains(f.Hints[0], "new one-time keys") {
		t.Errorf("no prekeys: %+v", f)
	}
}

// TestDamagedHints: the command moves all of the damaged state away, and a new one is
// made in its place.
func TestDamagedHints(t *testing.T) {
	path := state.Path(filepath.Join(t.TempDir(), "my state"), jid.MustParse("juliet@jet.test"))
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.WriteFile(path+suffix, []byte(strings.Repeat("garbage", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := state.Open(t.Context(), path)
	f := New(err, false)
	if f.Code != exitcode.Config || len(f.Hints) != 2 || !strings.Contains(f.Reason, path) {
		t.Fatalf("%+v", f)
	}
	_, rest, _ := strings.Cut(f.Hints[1], "`")
	command, _, _ := strings.Cut(rest, "`")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFolderHints: the command that is named makes the folder one that is used.
func TestFolderHints(t *testing.T) {
	parent, err := inbox.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Close() }()
	for _, plant := range []func(path string) error{
		func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o777)) },
		func(path string) error { return os.Symlink("elsewhere", path) },
	} {
		if err := plant(parent.Path("romeo@jet.test")); err != nil {
			t.Fatal(err)
		}
		_, err := parent.Sub("romeo@jet.test")
		f := New(&stream.SinkError{Err: err}, false)
		if f.Code != exitcode.LocalFile || len(f.Hints) != 1 {
			t.Fatalf("%d, %q, %v", f.Code, f.Hints, err)
		}
		command := strings.Split(f.Hints[0], "`")[1]
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", command, err, out)
		}
		folder, err := parent.Sub("romeo@jet.test")
		if err != nil {
			t.Fatalf("after %s: %v", command, err)
		}
		if err := errors.Join(folder.Close(), os.Remove(parent.Path("romeo@jet.test"))); err != nil {
			t.Fatal(err)
		}
	}
}
