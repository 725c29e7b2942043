package index

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"jetsend/internal/archive"
	"jetsend/internal/exclude"
	"jetsend/internal/set"
	"jetsend/internal/source"
)

// rootName is what the file system's own root is called.
const rootName = "root"

// lister writes the lines of all arguments.
type lister struct {
	opt     Options
	out     *bufio.Writer
	digest  hash.Hash // see [Index.Digest]
	buf     []byte
	sumBuf  []byte
	entries uint64
	size    int64 // of the lines

	arg     *Arg // of the moment
	exclude *exclude.List
	path    []string // of the directory that is being listed, below the argument
}

func (l *lister) argument(ctx context.Context, n source.Named) (a Arg, err error) {
	if n.Input != nil {
		return a, errors.New("an input is not for a set")
	}
	l.arg, l.exclude, l.path = &a, n.Exclude, nil
	f, err := openNamed(n.Path)
	if err != nil && l.opt.Again { // its path is the one that was kept
		a.Path, a.Name = n.Path, called(n.Name, n.Path)
		gone := stub(facts{}, "")
		gone.item.Failed = because(err).Error()
		return a, l.write(gone)
	}
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	root, err := of(f)
	if err == nil {
		a.Path, err = place(f, n.Path)
	}
	if err != nil {
		return a, err
	}
	a.Name = called(n.Name, a.Path)
	switch root.kind {
	case regularFile:
		info, err := f.Stat()
		if err != nil {
			return a, err
		}
		a.Path = source.Followed(a.Path, info)
		return a, l.file(ctx, f, root, "")
	case directory:
		return a, l.root(ctx, &folder{f}, root)
	}
	return a, errors.New("neither a regular file nor a directory")
}

// called is how an argument is offered: as the user says, or by the last name of its path.
func called(name, path string) string {
	if name = cmp.Or(name, filepath.Base(path)); name == string(filepath.Separator) {
		name = rootName
	}
	return name
}

// place is the absolute path of what was opened by a path. Where two dots stand behind a
// link, the path alone does not say what they mean.
func place(f *os.File, path string) (string, error) {
	opened, err := f.Stat()
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if found, err := os.Stat(abs); err == nil && os.SameFile(found, opened) {
		return abs, nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

// root lists a directory that was named. One that cannot be read is an error.
func (l *lister) root(ctx context.Context, d *folder, root facts) (err error) {
	l.arg.Directory, l.arg.Exclude = true, l.exclude.String()
	if l.opt.Folder != nil {
		if l.arg.Folder, err = l.opt.Folder(l.arg.Path); err != nil {
			return err
		}
	}
	in, err := l.names(ctx, d)
	if err != nil {
		return err
	}
	if err := l.write(entry(set.Directory, root, "")); err != nil {
		return err
	}
	return l.inside(ctx, d, in)
}

// entry is the line of what has the name in the directory of the moment; "" is the root.
func entry(kind set.Kind, a facts, name string) *line {
	e := &line{name: name}
	e.item.Entry = set.Entry{Kind: kind, MTime: a.mtime, Mode: a.mode, Extents: -1}
	if kind == set.File {
		e.item.Entry.Size, e.dev, e.ino = a.size, a.dev, a.ino
	}
	return e
}

// stub is the line of what cannot be sent.
func stub(a facts, name string) *line {
	return entry(set.File, facts{mtime: a.mtime, mode: a.mode}, name)
}

// fail writes a line with the reason why it will not come, and none of what is gone.
func (l *lister) fail(line *line, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	line.item.Failed = because(err).Error()
	return l.write(line)
}

func (l *lister) write(e *line) error {
	if l.entries++; l.entries > set.MaxEntries {
		return fmt.Errorf("%w: more than %d files", ErrTooMany, set.MaxEntries)
	}
	l.arg.Entries++
	if e.item.Failed != "" {
		l.arg.Failed++
	} else if l.arg.Bytes += e.data(); l.arg.Bytes < 0 {
		return ErrTooMany
	}
	if e.name != "" {
		e.depth = len(l.path) + 1
	}
	l.buf = e.identity(l.buf[:0])
	_, _ = l.digest.Write(l.buf) // never fails
	l.buf = e.append(l.buf[:0])
	l.size += int64(len(l.buf))
	if _, err := l.out.Write(l.buf); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// data is how many bytes of a file are data.
func (l *line) data() int64 {
	if l.item.Entry.Extents < 0 {
		return l.item.Entry.Size
	}
	sum := int64(0)
	for _, x := range l.item.Extents {
		sum += x.Length // they lie in the size
	}
	return sum
}

// names reads and sorts those in the directory of the moment, without what is excluded
// whatever it is.
func (l *lister) names(ctx context.Context, d *folder) (*names, error) {
	room := set.MaxPath
	for _, name := range l.path {
		room -= len(name) + 1
	}
	in := &names{}
	err := d.names(ctx, func(name string) error {
		switch {
		case l.excludes(name, false) && l.excludes(name, true):
			return nil
		case len(l.path) == archive.MaxDepth:
			return errDeep
		case len(name) >= room:
			return errLong
		case l.entries+uint64(in.len()) >= set.MaxEntries:
			return fmt.Errorf("%w: more than %d files", ErrTooMany, set.MaxEntries)
		}
		in.add(name)
		return nil
	})
	in.sort()
	return in, err
}

func (l *lister) excludes(name string, dir bool) bool {
	if l.exclude == nil {
		return false
	}
	p := name
	if len(l.path) > 0 {
		p = strings.Join(l.path, "/") + "/" + name
	}
	return l.exclude.Excludes(p, dir)
}

// inside writes the lines of what is in the directory of the moment.
func (l *lister) inside(ctx context.Context, d *folder, in *names) error {
	for name := range in.all {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		a, err := d.look(name)
		switch {
		case l.excludes(name, err == nil && a.kind == directory):
			continue
		case err != nil:
			err = l.fail(stub(facts{}, name), err)
		default:
			err = l.one(ctx, d, name, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// one writes the line of what has the name, and the lines of what is in it.
func (l *lister) one(ctx context.Context, d *folder, name string, a facts) error {
	switch a.kind {
	case regularFile:
		return l.regular(ctx, d, name, a)
	case directory:
		return l.folder(ctx, d, name, a)
	case link:
		return l.link(d, name, a)
	}
	l.leaveOut(name, "neither a file, a directory nor a link")
	return nil
}

// leaveOut notes what nobody expects to be sent.
func (l *lister) leaveOut(name, why string) {
	if l.arg.LeftOut++; len(l.arg.Left) < maxLeft {
		l.arg.Left = append(l.arg.Left, Left{path.Join(append(slices.Clone(l.path), name)...), why})
	}
}

func (l *lister) link(d *folder, name string, a facts) error {
	target, err := d.target(name)
	if err != nil {
		return l.fail(stub(a, name), err)
	}
	if _, ok := archive.Inside(len(l.path), target); !ok {
		l.leaveOut(name, "a link that leads out of the directory")
		return nil
	}
	e := entry(set.Link, a, name)
	e.item.Entry.Target = target
	return l.write(e)
}

// folder lists a directory in that of the moment.
func (l *lister) folder(ctx context.Context, d *folder, name string, a facts) (err error) {
	line := entry(set.Directory, a, name)
	sub, err := d.folder(name)
	if err != nil {
		return l.fail(line, err)
	}
	defer func() { err = errors.Join(err, sub.close()) }()
	l.path = append(l.path, name)
	in, err := l.names(ctx, sub)
	l.path = l.path[:len(l.path)-1]
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrTooMany):
		return err
	case err != nil:
		return l.fail(line, err)
	}
	if err := l.write(line); err != nil {
		return err
	}
	l.path = append(l.path, name)
	defer func() { l.path = l.path[:len(l.path)-1] }()
	return l.inside(ctx, sub, in)
}

// regular writes the line of a file, which is opened only where its content is asked for.
func (l *lister) regular(ctx context.Context, d *folder, name string, a facts) (err error) {
	if !l.opt.Checksum && a.room >= a.size {
		return l.write(entry(set.File, a, name))
	}
	f, now, err := d.file(name)
	if err != nil {
		return l.fail(stub(a, name), err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return l.file(ctx, f, now, name)
}

// file writes the line of a file that is open.
func (l *lister) file(ctx context.Context, f *os.File, a facts, name string) error {
	line := entry(set.File, a, name)
	e := &line.item.Entry
	if a.room < a.size {
		if x, ok := extents(f, a.size); ok {
			e.Extents, line.item.Extents = len(x), x
		}
	}
	if l.opt.Checksum && e.Extents < 0 {
		sum, err := l.sum(ctx, f, a)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return l.fail(line, err)
		}
		e.SHA256 = sum
	}
	return l.write(line)
}

// sumSize is how much of a file is read between two looks at the context.
const sumSize = 256 << 10

// sum is the SHA-256 of a file.
func (l *lister) sum(ctx context.Context, f *os.File, a facts) ([]byte, error) {
	if l.sumBuf == nil {
		l.sumBuf = make([]byte, sumSize)
	}
	h := sha256.New()
	from := io.NewSectionReader(f, 0, a.size)
	for ctx.Err() == nil {
		n, err := from.Read(l.sumBuf)
		_, _ = h.Write(l.sumBuf[:n]) // never fails
		if errors.Is(err, io.EOF) {
			return h.Sum(nil), same(f, a)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, context.Cause(ctx)
}
