// Package flock locks open files. A lock dies with its process, be it by kill -9, and
// keeps nobody from reading or writing the file.
package flock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld means that somebody else holds the lock.
var ErrHeld = errors.New("locked by another process")

// Exclusive takes the lock for this open file alone, or fails with [ErrHeld] at once.
func Exclusive(f *os.File) error { return named(f, lock(f, true)) }

// Shared takes the lock together with others, and waits for one who has it alone.
func Shared(f *os.File) error { return named(f, lock(f, false)) }

func named(f *os.File, err error) error {
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}
