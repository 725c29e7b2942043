//go:build unix

package source

import (
	"os"
	"syscall"
)

// openNonblock keeps opening a FIFO from hanging; for a regular file it means nothing.
const openNonblock = syscall.O_NONBLOCK

// openNamed opens what a user names, be it through a link.
func openNamed(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDONLY|openNonblock, 0) }

// openAsIs opens what has a path, if it is no link.
func openAsIs(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|openNonblock|syscall.O_NOFOLLOW, 0)
}
