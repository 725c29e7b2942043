package inbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/filename"
)

// No option and no name leads out of the directory: not as it came from the peer,
// by a door that forgot to make it safe, and not made safe.
func TestNoWayOut(t *testing.T) {
	hostile := []string{"", ".", "..", "/", "../x", "/etc/x", "a/../../x", "x/..", "..\\x", "..\x00", ".. ", "~/x"}
	for _, how := range []Conflict{Rename, Skip, Overwrite} {
		tried := map[string]bool{}
		for _, name := range hostile {
			for _, given := range []string{name, filename.Safe(name), filename.Component(name)} {
				if tried[given] {
					continue
				}
				tried[given] = true
				for what, place := range map[string]func(*Dir) (string, error){
					"a file": func(d *Dir) (string, error) {
						return put(t, d, "1", "x").Release(given, how, time.Time{}, nil)
					},
					"a directory": func(d *Dir) (string, error) {
						path, _, err := put(t, d, "1", packed(t)).Unpack(t.Context(), given, how, nil)
						return path, err
					},
				} {
					wayOut(t, what+" "+given, given != name || filename.Safe(name) == name, place)
				}
			}
		}
	}
}

// wayOut fails when what is placed is not directly in the folder of the contact, or
// anything beside it is there afterwards. safe: the name must do.
func wayOut(t *testing.T, what string, safe bool, place func(*Dir) (string, error)) {
	t.Helper()
	parent := t.TempDir()
	in := filepath.Join(parent, "in")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := Open(in)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := d.Sub("a@b")
	if err != nil {
		t.Fatal(err)
	}
	final, err := place(folder)
	switch {
	case err == nil && (filepath.Dir(final) != folder.Path("") || strings.ContainsRune(filepath.Base(final), 0)):
		t.Errorf("%q: %q", what, final)
	case err != nil && safe:
		t.Errorf("%q: %v", what, err)
	}
	if err := errors.Join(folder.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	for dir, want := range map[string]string{parent: "in", in: "a@b"} {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != want {
			t.Errorf("%q: %v in %s, %v", what, entries, dir, err)
		}
	}
}
