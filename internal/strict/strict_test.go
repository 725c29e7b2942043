package strict

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A path that others can change is reported with the command that mends it.
func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		open func(dir string) error
		path string // that is named, below dir
	}{
		"the file, by the group":     {func(d string) error { return os.Chmod(d+"/real/file", 0o664) }, "real/file"},
		"the file, by everybody":     {func(d string) error { return os.Chmod(d+"/real/file", 0o602) }, "real/file"},
		"its directory":              {func(d string) error { return os.Chmod(d+"/real", 0o777) }, "real"},
		"the directory of the link":  {func(d string) error { return os.Chmod(d+"/links", 0o775) }, "links"},
		"a shared one, not in vain":  {func(d string) error { return os.Chmod(d+"/links", 0o777|fs.ModeSticky) }, ""},
		"what only we can change":    {func(string) error { return nil }, ""},
		"a file for others to read":  {func(d string) error { return os.Chmod(d+"/real/file", 0o755) }, ""},
		"another user's, as root":    {func(d string) error { return chown(d + "/real/file") }, "real/file"},
		"a directory of another one": {func(d string) error { return chown(d + "/links") }, "links"},
	} {
		if strings.Contains(name, "another") && os.Getuid() != 0 {
			continue
		}
		dir := t.TempDir()
		link := dir + "/links/link"
		err := errors.Join(os.Mkdir(dir+"/real", 0o755), os.Mkdir(dir+"/links", 0o755), os.WriteFile(dir+"/real/file", nil, 0o600),
			os.Symlink("../real/file", link), tt.open(dir))
		if err != nil {
			t.Fatal(err)
		}
		err = Check(link)
		var refused *Error
		if tt.path == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.As(err, &refused) || refused.Path != filepath.Join(dir, tt.path) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		command := strings.TrimPrefix(strings.Split(refused.Fix, "`")[1], "sudo ")
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v %s", name, command, err, out)
		}
		if err := Check(link); err != nil {
			t.Errorf("%s: after %s: %v", name, command, err)
		}
	}
	if err := Check(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func chown(path string) error { return os.Chown(path, 65534, -1) }
