package simulate

import (
	"errors"
	"path/filepath"

	"jetsend/internal/ntfile"
)

func inodeOf(path string) (uint64, error) {
	dir, err := ntfile.OpenPath(filepath.Dir(path))
	if err != nil {
		return 0, err
	}
	is, err := ntfile.Lstat(dir, filepath.Base(path))
	return is.Index, errors.Join(err, dir.Close())
}
