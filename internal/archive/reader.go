package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"jetsend/internal/fileid"
)

// Reader reads the stream of a manifest, from anywhere. It holds two
// descriptors and one header, whatever the size. Not for concurrent use.
type Reader struct {
	m    *Manifest
	root *os.Root
	pos  int64
	at   int // entry that pos was in last

	head   []byte // header of the entry headOf
	headOf int
	file   *os.File // of the entry fileOf, nil when none is open
	fileOf int
}

// Open starts to read at the start of the stream. The caller closes the reader.
func (m *Manifest) Open() (*Reader, error) {
	root, err := os.OpenRoot(m.dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return &Reader{m: m, root: root, headOf: -1}, nil
}

// Close ends reading.
func (r *Reader) Close() error { return errors.Join(r.drop(), r.root.Close()) }

// Seek implements [io.Seeker]. It reads nothing.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.m.Size()
	default:
		return 0, errors.New("seek in archive: no such origin")
	}
	if offset < 0 {
		return 0, errors.New("seek in archive: before the start")
	}
	r.pos = offset
	return offset, nil
}

// Read implements [io.Reader]; it fills p but for the end of the stream. A
// [ChangedError] when a file is not the one that was listed, before or after
// it was read. Only [Reader.Unchanged] sees what happens to the other files.
func (r *Reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for n < len(p) {
		some, err := r.some(p[n:])
		n += some
		r.pos += int64(some)
		if errors.Is(err, io.EOF) && n > 0 {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// some reads from one part of one entry.
func (r *Reader) some(p []byte) (int, error) {
	left := r.m.Size() - r.pos
	if left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	r.locate()
	if r.at == len(r.m.entries) {
		clear(p)
		return len(p), nil
	}
	e := &r.m.entries[r.at]
	off := r.pos - e.at
	if off < e.head {
		if err := r.load(e); err != nil {
			return 0, err
		}
		return copy(p, r.head[off:]), nil
	}
	off -= e.head
	if off < e.size {
		return r.data(e, p[:min(int64(len(p)), e.size-off)], off)
	}
	p = p[:min(int64(len(p)), e.end()-r.pos)]
	clear(p)
	return len(p), nil
}

// locate makes r.at the entry of r.pos: mostly the one before, or the next.
func (r *Reader) locate() {
	if r.at < len(r.m.entries) {
		switch e := &r.m.entries[r.at]; {
		case e.at <= r.pos && r.pos < e.end():
			return
		case r.pos == e.end():
			r.at++
			return
		}
	}
	r.at = r.m.find(r.pos)
}

// load has the header of an entry in r.head.
func (r *Reader) load(e *entry) error {
	if r.headOf == r.at {
		return nil
	}
	b, err := r.m.header(e)
	if err != nil {
		return err
	}
	if int64(len(b)) != e.head {
		return fmt.Errorf("header of %q: %d bytes, %d before", e.path, len(b), e.head)
	}
	r.head, r.headOf = b, r.at
	return nil
}

// data reads a part of a file that, as far as one can see, is still the one
// that was listed.
func (r *Reader) data(e *entry, p []byte, off int64) (int, error) {
	if r.file == nil || r.fileOf != r.at {
		if err := r.take(e); err != nil {
			return 0, err
		}
	}
	n, err := r.file.ReadAt(p, off)
	switch {
	case errors.Is(err, io.EOF) && n < len(p):
		return n, &ChangedError{Path: e.path}
	case err != nil && !errors.Is(err, io.EOF):
		return n, fmt.Errorf("read %q: %w", e.path, cause(err))
	}
	if off+int64(n) < e.size {
		return n, nil
	}
	if err := check(r.file, e); err != nil {
		return n, err
	}
	return n, r.drop()
}

// take opens the file of the entry at r.at.
func (r *Reader) take(e *entry) error {
	if err := r.drop(); err != nil {
		return err
	}
	f, err := open(r.root, e.path)
	if err != nil {
		if named, lerr := r.root.Lstat(e.path); lerr == nil && !named.Mode().IsRegular() { // a link that leads out, for one
			return &ChangedError{Path: e.path, Err: cause(err)}
		}
		return gone(e.path, err)
	}
	err = check(f, e)
	if err == nil {
		err = named(r.root, e.path, f)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.fileOf = f, r.at
	return nil
}

func check(f *os.File, e *entry) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %q: %w", e.path, cause(err))
	}
	id, err := fileid.Of(f, info)
	if err != nil {
		return err
	}
	if !e.is(info, id) {
		return &ChangedError{Path: e.path}
	}
	return nil
}

// named fails when what is open was reached through a link: [os.Root] follows
// those that stay inside, and not every file system tells files apart by number.
func named(root *os.Root, name string, f *os.File) error {
	opened, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %q: %w", name, cause(err))
	}
	info, err := root.Lstat(name)
	if err != nil {
		return gone(name, err)
	}
	if !os.SameFile(info, opened) {
		return &ChangedError{Path: name}
	}
	return nil
}

func (r *Reader) drop() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Unchanged scans the directory again. A [ChangedError] names the first entry
// that is not as it was, or not there, or new. To be called before the end of
// the stream is made valid: what was read until then is one state of the tree.
func (r *Reader) Unchanged(ctx context.Context) error {
	now, err := Scan(ctx, r.m.dir, r.m.excluded)
	if err != nil {
		return err
	}
	if p, differ := r.m.differs(now); differ {
		return &ChangedError{Path: p}
	}
	return nil
}
