package source

import (
	"errors"
	"os"
	"path/filepath"

	"jetsend/internal/ntfile"
)

// openNamed opens what a user names, be it through a link.
func openNamed(path string) (*os.File, error) { return os.Open(path) }

// openAsIs opens what has a path, if it is no link.
func openAsIs(path string) (*os.File, error) {
	dir, err := ntfile.OpenPath(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := ntfile.Open(dir, filepath.Base(path), ntfile.How{})
	return f, errors.Join(err, dir.Close())
}
