package tree

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"slices"

	"jetsend/internal/filename"
)

// maxAlike bounds how many names of one directory may fall together.
const maxAlike = 100

// names are the names that an entry of a folder can get, one after the other: its own, a
// safe one, one of letters alone, each with numbers.
type names struct {
	base  string
	kinds int // that came before: 0 for its own name
	n     int // numbers that were tried
	spent bool
}

func namesFor(sent string) names { return names{base: sent} }

// next is the next one of the same kind.
func (n *names) next() (string, bool) {
	if n.spent = n.spent || n.n == maxAlike; n.over() {
		return "", false
	}
	n.n++
	return filename.Numbered(n.base, n.n-1), true
}

// other goes on with names of the next kind: the file system cannot hold the one before.
// They are made only now, for most entries need none.
func (n *names) other() {
	if n.over() {
		return
	}
	for _, make := range []func(string) string{filename.Component, filename.Plain}[n.kinds:] {
		n.kinds++
		if base := make(n.base); base != n.base {
			n.base, n.n = base, 0
			return
		}
	}
	n.spent = true
}

// over reports whether there is no further name. So it is for an entry that needs none.
func (n *names) over() bool { return n.spent || n.base == "" }

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
	f, err := d.again()
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
