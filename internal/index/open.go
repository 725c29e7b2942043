package index

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"jetsend/internal/fileid"
	"jetsend/internal/set"
)

// origin is where an item's file is found again.
type origin struct {
	arg      int
	at       int64 // of its line
	dev, ino uint64
}

// Open implements [set.Listing]. An error has a text fit for the other end, and is
// [source.ErrChanged] for a file that is another one than that which was listed, or none.
// The extents of a sparse file are read again when the item has none any more.
func (ix *Index) Open(it *set.Item) (set.Content, error) {
	o, ok := it.Origin.(*origin)
	if !ok {
		return nil, fmt.Errorf("open %q: not a file of this index", it.Entry.Path)
	}
	f, a, err := ix.open(&ix.args[o.arg], it.Entry.Path)
	if err != nil {
		return nil, because(err)
	}
	err = o.is(f, a, &it.Entry)
	if err == nil && it.Entry.Extents > 0 && it.Extents == nil {
		it.Extents, err = ix.extents(o.at)
	}
	if err != nil {
		return nil, errors.Join(because(err), f.Close())
	}
	return &content{f, a}, nil
}

// Called is a name of an item's file as it was listed, by which nothing else is called.
func (ix *Index) Called(it *set.Item) string {
	o, ok := it.Origin.(*origin)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s\x00%q\x00%d\x00%d\x00%d\x00%d", ix.args[o.arg].Path, it.Entry.Path, o.dev, o.ino, it.Entry.Size, it.Entry.MTime.UnixNano())
}

func (ix *Index) open(a *Arg, path []string) (*os.File, facts, error) {
	if !a.Directory {
		return openFile(a.Path)
	}
	d, err := ix.way.to(a, path[:len(path)-1])
	if err != nil {
		return nil, facts{}, err
	}
	return d.file(path[len(path)-1])
}

// is fails when a file is not the one that was listed. Where a file system numbers its files
// anew each time, their numbers say nothing.
func (o *origin) is(f *os.File, a facts, e *set.Entry) error {
	if a.dev != o.dev || a.size != e.Size || !a.mtime.Equal(e.MTime) {
		return errChanged
	}
	if a.ino == o.ino {
		return nil
	}
	steady, err := fileid.Steady(f)
	if err == nil && steady {
		err = errChanged
	}
	return err
}

// extents are those of the line at a place in the file.
func (ix *Index) extents(at int64) ([]set.Extent, error) {
	b, err := read(bufio.NewReader(io.NewSectionReader(ix.file, at, ix.size-at)), nil)
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	l, err := parse(b)
	return l.item.Extents, err
}

// way is the directories that are open on the way to the file that was opened last. That to
// the next one is mostly the same.
type way struct {
	arg  *Arg
	path []string // names below the root
	dirs []*folder
}

// to opens the directory of an argument that has the path below it.
func (w *way) to(a *Arg, path []string) (*folder, error) {
	same := 0
	if w.arg == a && len(w.dirs) > 0 {
		for same < min(len(path), len(w.path)) && path[same] == w.path[same] {
			same++
		}
		if err := w.leave(same + 1); err != nil {
			return nil, err
		}
	} else if err := w.begin(a); err != nil {
		return nil, err
	}
	for _, name := range path[same:] {
		d, err := w.dirs[len(w.dirs)-1].folder(name)
		if err != nil {
			return nil, err
		}
		w.dirs, w.path = append(w.dirs, d), append(w.path, name)
	}
	return w.dirs[len(w.dirs)-1], nil
}

// begin opens the root of another argument.
func (w *way) begin(a *Arg) error {
	if err := w.leave(0); err != nil {
		return err
	}
	root, err := openFolder(a.Path)
	if err != nil {
		return err
	}
	w.arg, w.dirs = a, append(w.dirs, root)
	return nil
}

// leave closes all directories but the first n.
func (w *way) leave(n int) (err error) {
	for len(w.dirs) > n {
		last := len(w.dirs) - 1
		err = errors.Join(err, w.dirs[last].close())
		w.dirs = w.dirs[:last]
	}
	w.path = w.path[:max(n-1, 0)]
	return err
}

// content is that of a regular file.
type content struct {
	f      *os.File
	listed facts
}

// ReadAt implements [io.ReaderAt]. A file that is shorter than it was has changed.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		if off+int64(n) < c.listed.size {
			return n, errChanged
		}
		return n, io.EOF
	}
	return n, because(err)
}

// Unchanged implements [set.Content].
func (c *content) Unchanged() error { return because(same(c.f, c.listed)) }

// Close implements [io.Closer].
func (c *content) Close() error { return c.f.Close() }

// same fails when an open file is not as it was.
func same(f *os.File, a facts) error {
	now, err := of(f)
	if err == nil && (now.size != a.size || !now.mtime.Equal(a.mtime)) {
		err = errChanged
	}
	return err
}
