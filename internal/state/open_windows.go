package state

import (
	"os"

	"jetsend/internal/ntfile"
)

// openLock opens or makes the file of a lock, which may be removed while it is held.
func openLock(path string) (*os.File, error) { return ntfile.OpenFile(path, os.O_CREATE|os.O_RDWR) }
