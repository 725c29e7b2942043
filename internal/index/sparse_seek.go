//go:build linux || darwin || freebsd

package index

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"jetsend/internal/set"
)

// extents are those of data in a file of so many bytes. ok is false where all of it is data,
// as far as the system can say, and where there are more of them than a set carries.
func extents(f *os.File, size int64) (x []set.Extent, ok bool) {
	for at := int64(0); at < size; {
		from, err := seek(f, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && from >= size { // a hole up to the end
			break
		}
		if err == nil {
			at, err = seek(f, from, unix.SEEK_HOLE)
		}
		if err != nil || at <= from || len(x) == set.MaxExtents {
			return nil, false
		}
		at = min(at, size)
		x = append(x, set.Extent{Offset: from, Length: at - from})
	}
	if len(x) == 1 && x[0] == (set.Extent{Length: size}) {
		return nil, false
	}
	return x, true
}

// seek finds data or a hole. It moves the place in the file, from which nobody reads.
func seek(f *os.File, at int64, whence int) (int64, error) {
	return again(func() (int64, error) { return unix.Seek(int(f.Fd()), at, whence) })
}

// Sparse reports whether a file takes less room on the disk than it has bytes, so that it
// may have holes.
func Sparse(path string) bool {
	var s unix.Stat_t
	_, err := again(func() (struct{}, error) { return struct{}{}, unix.Stat(path, &s) })
	a := factsOf(&s)
	return err == nil && a.kind == regularFile && s.Blocks*blockSize < s.Size
}
