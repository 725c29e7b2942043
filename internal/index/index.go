// Package index is what a set is made of, as it was when it was listed: the sender's
// [set.Listing].
//
// [Make] walks what the user named, and writes a line for each file, directory and link into
// a file that has no name: of a million entries nothing is in memory but the names of the
// directories that are open at the moment. [Index.Next] reads them, and [Index.Open] opens
// the file of one, if it is still the one that was listed.
//
// # Order
//
// Arguments as they were named. In each, its root first, then depth first: a directory right
// before what is in it, and what is in one directory in the ascending order of its names as
// bytes.
//
// # What cannot be sent
//
// It has its line all the same, with the reason, so that both ends count it as failed. A
// directory that cannot be read, or in which a path is longer than [set.MaxPath] or deeper
// than [archive.MaxDepth], fails with all that is in it, which has no lines. What cannot
// even be looked at stands there as an empty file, and a file that cannot be read fails when
// it is opened. Left out, and told of by [Arg], are sockets, FIFOs, devices, and links that
// lead out of the folder. What is gone between the listing of its directory and the look at
// it was not there.
//
// # Links
//
// An argument may be one: the user named it. Below it every directory and file is opened by
// its last name from the directory before, never through a link, whatever is exchanged
// meanwhile.
package index

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"

	"jetsend/internal/set"
	"jetsend/internal/source"
)

// ErrTooMany means that there is more than a set can carry: more than [set.MaxEntries], or
// more bytes than a number holds.
var ErrTooMany = errors.New("too much for one transfer")

// Options are about how a set is listed.
type Options struct {
	// Checksum has each file read, and its SHA-256 in its line. A sparse file has none: it
	// would run over the holes.
	Checksum bool
	// Again says that all of it was listed before: an argument that cannot be opened any
	// more is a line that fails.
	Again bool
	// Folder returns the id of a folder, of [set.FolderSize] bytes, by its absolute path.
	Folder func(path string) ([]byte, error)
}

// Arg is an argument of a set.
type Arg struct {
	Name string // as it is offered
	// Path is absolute. That of a file that was named through a link is the file's own.
	Path      string
	Directory bool
	Folder    []byte // id of a directory
	Exclude   string // text of the patterns of what was left out of a directory
	Entries   uint64
	Failed    uint64 // of Entries: those that are known not to come
	Bytes     int64  // of data in files, without holes and without what is known not to come
	LeftOut   int    // what is in the directory and not in the index: pipes, devices, links that lead out
	Left      []Left // the first of that

	at, size int64 // of its lines in the file
}

// Left is something that is left out.
type Left struct{ Path, Reason string }

// maxLeft bounds what is told one by one of that.
const maxLeft = 10

// Index is a listing. One goroutine may call Next while another one calls Open.
type Index struct {
	file    *os.File
	size    int64
	args    []Arg
	entries uint64
	bytes   int64
	digest  []byte
	id      func(number int) uuid.UUID
	lines   lines
	way     way
}

var _ set.Listing = (*Index)(nil)

// Make lists what was named. The lines lie in a file in dir, which has its name for a moment
// only: nothing of it is left when the process dies. An argument that cannot be opened is an
// error, and one that is neither a file nor a directory; inputs are not for sets.
func Make(ctx context.Context, args []source.Named, dir string, opt Options) (*Index, error) {
	f, err := brief(dir)
	if err != nil {
		return nil, fmt.Errorf("write index: %w", err)
	}
	ix := &Index{file: f}
	if err := ix.list(ctx, args, opt); err != nil {
		return nil, errors.Join(err, ix.Close())
	}
	ix.lines.rewind(ix)
	return ix, nil
}

// writeSize is that of the buffer in front of the file.
const writeSize = 256 << 10

func (ix *Index) list(ctx context.Context, args []source.Named, opt Options) error {
	l := &lister{opt: opt, out: bufio.NewWriterSize(ix.file, writeSize), digest: sha256.New()}
	for _, n := range args {
		at := l.size
		a, err := l.argument(ctx, n)
		a.at, a.size = at, l.size-at
		if err != nil {
			return fmt.Errorf("list %q: %w", n.Path, err)
		}
		if ix.bytes += a.Bytes; ix.bytes < 0 {
			return fmt.Errorf("list %q: %w", n.Path, ErrTooMany)
		}
		ix.args = append(ix.args, a)
	}
	ix.entries, ix.digest = l.entries, l.digest.Sum(nil)
	ix.size = l.size
	if err := l.out.Flush(); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// Arguments are what was named. They are the caller's to read.
func (ix *Index) Arguments() []Arg { return ix.args }

// Entries is the number of all lines, those that fail included.
func (ix *Index) Entries() uint64 { return ix.entries }

// Digest is a SHA-256 over all that is listed: paths, kinds, sizes, times of change and
// targets. Two listings of what has not changed in between have the same one.
func (ix *Index) Digest() []byte { return ix.digest }

// Bytes is the sum of the data of all files.
func (ix *Index) Bytes() int64 { return ix.bytes }

// Rewind has Next begin at the first item again. id tells the ids of the arguments'
// transfers; nil leaves them empty. No Next or Open may be under way.
func (ix *Index) Rewind(id func(number int) uuid.UUID) {
	ix.id = id
	ix.lines.rewind(ix)
}

// Next implements [set.Listing].
func (ix *Index) Next() (set.Item, error) {
	it, err := ix.lines.next(ix)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read index: %w", err)
	}
	return it, err
}

// argument is what the other end is told of an argument.
func (ix *Index) argument(number int) *set.Argument {
	a := &ix.args[number]
	said := &set.Argument{Name: a.Name, Folder: a.Folder, Entries: a.Entries, Bytes: a.Bytes}
	if ix.id != nil {
		said.ID = ix.id(number)
	}
	return said
}

// Close ends it. Files that were opened stay open.
func (ix *Index) Close() error { return errors.Join(ix.way.leave(0), ix.file.Close()) }
