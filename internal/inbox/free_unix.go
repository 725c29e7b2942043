//go:build unix

package inbox

import (
	"errors"
	"os"

	"jetsend/internal/fsys"
)

func free(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	n, err := fsys.Free(f)
	return n, errors.Join(err, f.Close())
}
