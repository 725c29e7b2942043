//go:build linux || darwin

package inbox

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	sharedID = "0f6c0a1e-0000-4000-8000-000000000001"
	contact  = "romeo@montague.example"
)

// shared makes a directory that every user may write in, with the given further
// bits, in a place that every user can reach.
func shared(t *testing.T, more fs.FileMode) (*Dir, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	path, err := os.MkdirTemp(os.TempDir(), "shared")
	if err == nil {
		t.Cleanup(func() {
			if err := os.RemoveAll(path); err != nil {
				t.Error(err)
			}
		})
		err = os.Chmod(path, 0o777|more)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, path
}

// somebody runs a shell line in dir as another user.
func somebody(t *testing.T, dir, line string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "umask 0; "+line)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", line, err, out)
	}
}

// again opens a folder as for a transfer that is resumed.
func again(d *Dir) func(string) (*Dir, error) {
	return func(name string) (*Dir, error) { return OpenFolder(d.Path(name)) }
}

// A folder that another local user made in a shared directory beforehand, or a
// link, is not used: he could exchange what is in it.
func TestFolderOfAnother(t *testing.T) {
	plants := map[string]string{
		"belongs to another user": "mkdir " + contact,
		"it is a link":            "ln -s alice@capulet.example " + contact,
		"or no directory":         "touch " + contact,
	}
	for reason, line := range plants {
		d, path := shared(t, fs.ModeSticky)
		if err := os.Mkdir(filepath.Join(path, "alice@capulet.example"), 0o755); err != nil {
			t.Fatal(err)
		}
		somebody(t, path, line)
		for what, open := range map[string]func(string) (*Dir, error){"made": d.Sub, "opened again": again(d)} {
			folder, err := open(contact)
			var refused *FolderError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, reason) || refused.Path != filepath.Join(path, contact) {
				t.Errorf("%s, %s: %v", line, what, err)
			}
			if err == nil {
				_ = folder.Close()
			}
		}
	}
}

// One of our own that others may write in is not used either, and the error says
// what to do; as soon as that is done it is.
func TestFolderWritable(t *testing.T) {
	d, path := open(t)
	folder := filepath.Join(path, contact)
	if err := errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, 0o777)); err != nil {
		t.Fatal(err)
	}
	_, err := d.Sub(contact)
	var refused *FolderError
	if !errors.As(err, &refused) || !refused.Writable {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	sub, err := d.Sub(contact)
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
}

// In a directory with the sticky bit, as /tmp, nobody else touches a partial file.
func TestSticky(t *testing.T) {
	d, path := shared(t, fs.ModeSticky)
	if why := d.Exposed(); why != "" {
		t.Errorf("exposed: %s", why)
	}
	p := put(t, d, sharedID, "honest")
	somebody(t, path, "! mv .jetsend-*.part kept 2>/dev/null")
	final, err := p.Release("report.pdf", Rename, time.Time{}, nil)
	if b, _ := os.ReadFile(final); err != nil || string(b) != "honest" {
		t.Errorf("%q, %v", b, err)
	}
}

// Without it others can: then what they put there is not released as verified,
// and the directory is known for exposed.
func TestExchanged(t *testing.T) {
	for _, how := range []Conflict{Rename, Overwrite} {
		d, path := shared(t, 0)
		if why := d.Exposed(); !strings.Contains(why, "0777") {
			t.Errorf("exposed: %q", why)
		}
		p := put(t, d, sharedID, "honest")
		placing := func(string) error {
			somebody(t, path, "mv .jetsend-*.part kept && printf evil!! > .jetsend-"+sharedID+".part")
			return nil
		}
		if final, err := p.Release("report.pdf", how, time.Time{}, placing); !errors.Is(err, ErrForeign) {
			t.Errorf("released %q: %v", final, err)
		}
		if outcome, err := d.Settle(sharedID, "report.pdf", 6); err != nil || outcome != Lost {
			t.Errorf("settled: %d, %v", outcome, err)
		}
	}
}

// The same for a directory: neither the hidden one nor the one with the name.
func TestTreeExchanged(t *testing.T) {
	d, path := shared(t, 0)
	stream := packed(t)
	p := put(t, d, sharedID, stream)
	placing := func(string) error {
		somebody(t, path, "mv .jetsend-*.dir kept && mkdir .jetsend-"+sharedID+".dir")
		return nil
	}
	if final, _, err := p.Unpack(t.Context(), "verona", Rename, placing); err == nil {
		t.Errorf("released %q", final)
	}
	if err := p.Discard(); err != nil {
		t.Log("what the other user has put there stays:", err)
	}
	if outcome, err := d.SettleTree(sharedID, "verona"); err != nil || outcome == Released {
		t.Errorf("settled: %d, %v", outcome, err)
	}
}

// A directory of another user is his to change, sticky or not; one of root's is not.
func TestExposedOwner(t *testing.T) {
	_, path := shared(t, fs.ModeSticky)
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Fatal(err)
	}
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if why := d.Exposed(); !strings.Contains(why, "another user") {
		t.Errorf("exposed: %q", why)
	}
}
