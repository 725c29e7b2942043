//go:build unix

package archive

import (
	"io/fs"
	"os"
	"syscall"
)

// owner is the user id of a file, as its file system tells it.
func owner(info fs.FileInfo) uint32 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Uid
	}
	return 0
}

// nameable reports whether something can have a name: here, as far as the file system says.
func nameable(string) bool { return true }

// open opens a file that was a regular one a moment ago. O_NONBLOCK keeps one
// that is a FIFO now from hanging.
func open(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}
