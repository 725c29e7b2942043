package archive

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// An entry that is exchanged between the scan and the reading, with size and time
// kept, is not read: neither behind a link, which os.Root follows inside of the
// directory, nor behind a parent that is one, nor another file.
func TestExchanged(t *testing.T) {
	for name, change := range map[string]func(d string) error{
		"a link inside":  func(d string) error { return errors.Join(os.Remove(d+"/sub/a"), os.Symlink("../secret", d+"/sub/a")) },
		"a link outside": func(d string) error { return errors.Join(os.Remove(d+"/sub/a"), os.Symlink("/etc/passwd", d+"/sub/a")) },
		"a FIFO":         func(d string) error { return errors.Join(os.Remove(d+"/sub/a"), mkfifo(d+"/sub/a")) },
		"another file":   func(d string) error { return os.Rename(d+"/secret", d+"/sub/a") },
		"the parent":     func(d string) error { return errors.Join(os.Rename(d+"/sub", d+"/old"), os.Symlink("other", d+"/sub")) },
		"a parent beside": func(d string) error {
			return errors.Join(os.Rename(d+"/sub", d+"/old"), os.Rename(d+"/other", d+"/sub"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := filepath.Join(t.TempDir(), "outbox")
			for _, f := range []string{"secret", "sub/a", "other/a"} {
				write(t, filepath.Join(d, f), "0123456789"[:6]+f[:1])
				if err := os.Chtimes(filepath.Join(d, f), when, when); err != nil {
					t.Fatal(err)
				}
			}
			m := mustScan(t, d)
			r := mustOpen(t, m)
			if err := change(d); err != nil {
				t.Fatal(err)
			}
			e := m.entries[slices.IndexFunc(m.entries, func(e entry) bool { return e.path == "sub/a" })]
			if _, err := r.Seek(e.at+e.head, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, e.size)
			var changed *ChangedError
			if n, err := io.ReadFull(r, b); !errors.As(err, &changed) || changed.Path != "sub/a" || n != 0 {
				t.Errorf("read %q: %v", b[:n], err)
			}
		})
	}
}

// A racer that exchanges a file for a link while directories are scanned and read:
// what is read is what was listed, or nothing.
func TestExchangedRace(t *testing.T) {
	d := filepath.Join(t.TempDir(), "outbox")
	for name, text := range map[string]string{"a": "honest", "z/secret": "secret"} {
		write(t, filepath.Join(d, name), text)
		if err := os.Chtimes(filepath.Join(d, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	spare := filepath.Join(t.TempDir(), "spare")
	over, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-over:
				return
			default:
			}
			_ = os.Rename(d+"/a", spare)
			_ = os.Symlink("z/secret", d+"/a")
			_ = os.Remove(d + "/a")
			_ = os.Rename(spare, d+"/a")
		}
	}()
	read := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		m, err := Scan(t.Context(), d, nil)
		if err != nil {
			continue
		}
		r, err := m.Open()
		if err != nil {
			t.Fatal(err)
		}
		if len(m.entries) > 1 && m.entries[1].path == "a" && m.entries[1].size > 0 {
			b := make([]byte, m.entries[1].size)
			if _, err := r.Seek(m.entries[1].at+m.entries[1].head, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if n, err := io.ReadFull(r, b); err == nil && string(b) != "honest" {
				t.Fatalf("read %q", b[:n])
			} else if err == nil {
				read++
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(over)
	<-stopped
	t.Logf("read %d times", read)
}
