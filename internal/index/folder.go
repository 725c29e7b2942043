package index

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"jetsend/internal/source"
)

// namesAtOnce is how many names of a directory are read between two looks at the context.
const namesAtOnce = 1024

// folder is an open directory. What is in it is reached by its last name alone, and never
// through a link: os.Root would follow those that stay inside, and wait for the writer of a
// FIFO where a directory was.
type folder struct{ f *os.File }

// indexPrefix begins the name of an index, while it has one.
const indexPrefix = ".index-"

// kind is what something is, in the numbers of the system.
type kind uint32

// facts are what a system says of a file.
type facts struct {
	kind     kind
	mode     fs.FileMode
	size     int64
	mtime    time.Time
	room     int64 // bytes that it takes on the disk
	dev, ino uint64
}

// regular closes a file that is something else: one that is a FIFO now, for one.
func regular(f *os.File) (*os.File, facts, error) {
	a, err := of(f)
	if err == nil && a.kind != regularFile {
		err = source.ErrChanged
	}
	if err != nil {
		return nil, facts{}, errors.Join(err, f.Close())
	}
	return f, a, nil
}

// names reads what is in it.
func (d *folder) names(ctx context.Context, add func(name string) error) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		some, err := d.f.Readdirnames(namesAtOnce)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range some {
			if err := add(name); err != nil {
				return err
			}
		}
	}
}

func (d *folder) close() error { return d.f.Close() }
