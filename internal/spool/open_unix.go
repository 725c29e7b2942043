//go:build unix

package spool

import (
	"os"
	"syscall"
)

// openAsIs opens a file for reading, and follows no link.
func openAsIs(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}
