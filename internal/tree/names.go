package tree

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"jetsend/internal/filename"
)

// maxAlike bounds how many names of one directory may fall together.
const maxAlike = 100

// names are the names that an entry of a folder can get, one after the other: its own, a
// safe one, one of letters alone, each with numbers.
type names struct {
	bases []string
	n     int
}

func namesFor(sent string) names {
	safe := filename.Component(sent)
	return names{bases: slices.Compact([]string{sent, safe, filename.Plain(safe)})}
}

// next is the next one of the same kind.
func (n *names) next() (string, bool) {
	if len(n.bases) > 0 && n.n == maxAlike {
		n.bases = nil
	}
	if len(n.bases) == 0 {
		return "", false
	}
	n.n++
	return filename.Numbered(n.bases[0], n.n-1), true
}

// other goes on with names of the next kind: the file system cannot hold the one before.
func (n *names) other() {
	if len(n.bases) > 0 {
		n.bases, n.n = n.bases[1:], 0
	}
}

// free returns the next name that nothing has.
func (n *names) free(d *dir) (string, error) {
	err := error(errAlike)
	for {
		name, ok := n.next()
		if !ok {
			return "", err
		}
		_, lerr := d.lstat(name)
		switch {
		case errors.Is(lerr, fs.ErrNotExist):
			return name, nil
		case lerr == nil:
			err = errAlike
		case trouble(lerr):
			return "", lerr
		default:
			err = lerr
			n.other()
		}
	}
}

// errAlike says that there are too many names that a file system takes for the same.
var errAlike = fmt.Errorf("more than %d names that are alike: %w", maxAlike, fs.ErrExist)

// unnameable reports whether a file system says that it cannot hold a name.
func unnameable(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EILSEQ) || errors.Is(err, syscall.ENAMETOOLONG)
}

// lacking reports whether a file system says that it does not have what is asked of it.
func lacking(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported)
}

// seed is that of the hashes of names.
var seed = maphash.MakeSeed()

// listed are the names that were in a directory when it first mattered, by their hash.
type listed struct {
	hashes []uint64
	known  bool
}

// has reports whether a name is in a directory exactly so, which a file system that takes
// names for the same does not say when it is asked for one.
func (l *listed) has(d *dir, name string) (bool, error) {
	if !l.known {
		if err := l.read(d); err != nil {
			return false, err
		}
	}
	_, found := slices.BinarySearch(l.hashes, maphash.String(seed, name))
	return found, nil
}

func (l *listed) read(d *dir) error {
	f, err := d.openat(".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	for err == nil {
		var some []string
		some, err = f.Readdirnames(1024)
		for _, name := range some {
			l.hashes = append(l.hashes, maphash.String(seed, name))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	slices.Sort(l.hashes)
	l.known = err == nil
	return errors.Join(err, f.Close())
}
