//go:build !linux && !windows

package inbox

import (
	"errors"
	"os"
)

// renameNoReplace is not to be had here without cgo: a hard link does it.
func renameNoReplace(*os.File, string, string) error { return errors.ErrUnsupported }
