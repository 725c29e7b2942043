//go:build unix

package fsys

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"syscall"
)

// room is what a file system says of itself.
type room struct {
	free   int64  // bytes that the user can still write
	volume uint64 // its number, which it has after a restart as well; 0 where it has none
}

// roomAt asks the file system of an open file, until no signal cuts the call.
func roomAt(f *os.File) (room, error) {
	for {
		r, err := statfs(int(f.Fd()))
		runtime.KeepAlive(f)
		switch {
		case err == nil:
			return r, nil
		case !errors.Is(err, syscall.EINTR):
			return room{}, &fs.PathError{Op: "statfs", Path: f.Name(), Err: err}
		}
	}
}

// Free returns how many bytes the user can still write where an open file is.
func Free(f *os.File) (int64, error) {
	r, err := roomAt(f)
	return r.free, err
}

// Volume returns the number of the file system that an open file is on, by which it is known
// after a restart as well, and 0 where it has none.
func Volume(f *os.File) uint64 {
	r, err := roomAt(f)
	if err != nil {
		return 0
	}
	return r.volume
}

// number makes one number of the two of a file system.
func number(id [2]int32) uint64 { return uint64(uint32(id[0]))<<32 | uint64(uint32(id[1])) }
