package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"jetsend/internal/flock"
	"jetsend/internal/private"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = flock.ErrHeld

// Lock is a file lock that dies with its process, be it by kill -9.
type Lock struct{ f *os.File }

// LockFile takes the lock at path, creating file (0600) and directory (0700),
// or fails with ErrLocked at once. A file that others could open is closed to them. The file stays when the lock is released:
// removing it would let two processes lock two files of one name.
func LockFile(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("lock: %w", unwritable(err))
	}
	f, err := openLock(path)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", unwritable(err))
	}
	// A user who can open it can hold it, and keep us out.
	if err := private.CloseFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock: %w", unwritable(err)), f.Close())
	}
	if err := flock.Exclusive(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
