package spool

import (
	"errors"
	"os"
	"path/filepath"

	"jetsend/internal/ntfile"
)

// openAsIs opens a file for reading, and follows no link. It can be removed meanwhile.
func openAsIs(path string) (*os.File, error) {
	dir, err := ntfile.OpenPath(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := ntfile.Open(dir, filepath.Base(path), ntfile.How{})
	return f, errors.Join(err, dir.Close())
}
