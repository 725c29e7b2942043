// Package strict reports whether a file that says what is run, or is run, can be
// changed by other users: what they write there they run as us.
package strict

import (
	"fmt"
	"path/filepath"

	"jetsend/internal/clean"
)

// Error says that others can change a file. Path is that file, or a directory
// in which they can put another one in its place.
type Error struct {
	Path   string // absolute
	Reason string
	Fix    string // the exact command that mends it
}

// Error names the path and the reason.
func (e *Error) Error() string { return fmt.Sprintf("%s %s", clean.Text(e.Path), e.Reason) }

// Check looks at a file, and at the directories that it and a link to it stand in. An
// [Error] when one of them belongs to another user than us and the superuser, or
// when others may write it. A directory with the sticky bit, as /tmp, is one where
// nobody else exchanges our files.
func Check(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	file, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	for _, p := range []string{file, filepath.Dir(file), filepath.Dir(abs)} {
		if err := check(p); err != nil {
			return err
		}
	}
	return nil
}
