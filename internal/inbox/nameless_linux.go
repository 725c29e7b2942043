package inbox

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// nameless makes a file in a directory that has no name, and says what it is. Not every file
// system can.
func nameless(root *os.Root, perm fs.FileMode) (fs.FileInfo, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, uint32(perm.Perm()))
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	f := os.NewFile(uintptr(fd), dir.Name())
	info, err := f.Stat()
	return info, errors.Join(err, f.Close(), dir.Close())
}
