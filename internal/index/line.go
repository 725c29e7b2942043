package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"

	"jetsend/internal/fields"
	"jetsend/internal/set"
)

// line is what the file has of an entry. Of its path there is the last name alone: the names
// before are those of the lines before.
type line struct {
	item     set.Item // without a path
	depth    int      // names in its path
	name     string   // the last of them
	dev, ino uint64   // of a file
}

// lengthSize is that of the length in front of a line.
const lengthSize = 4

// identity is what tells one version of an entry from another: where it is, what it is, how
// large, and when it changed.
func (l *line) identity(b []byte) []byte {
	e := &l.item.Entry
	b = append(binary.AppendUvarint(b, uint64(l.depth)), byte(e.Kind))
	b = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(b, e.Size), e.MTime.Unix()), int64(e.MTime.Nanosecond()))
	return fields.AppendText(fields.AppendText(b, l.name), e.Target)
}

// append appends the line as it is written: its length, and its members.
func (l *line) append(b []byte) []byte {
	at := len(b)
	e := &l.item.Entry
	b = append(b, make([]byte, lengthSize)...)
	b = append(b, byte(e.Kind))
	b = fields.AppendText(binary.AppendUvarint(b, uint64(l.depth)), l.name)
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = fields.AppendText(fields.AppendTime(b, e.MTime), l.item.Failed)
	switch e.Kind {
	case set.File:
		for _, n := range []uint64{uint64(e.Size), l.dev, l.ino} {
			b = binary.AppendUvarint(b, n)
		}
		b = fields.AppendText(b, e.SHA256)
		b = binary.AppendVarint(b, int64(e.Extents))
		for _, x := range l.item.Extents {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(x.Offset)), uint64(x.Length))
		}
	case set.Link:
		b = fields.AppendText(b, e.Target)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-lengthSize))
	return b
}

// errDamaged says that a line is none: the file is not as it was written.
var errDamaged = errors.New("it is damaged")

// parse reads a line without its length.
func parse(b []byte) (l line, err error) {
	if len(b) == 0 {
		return l, errDamaged
	}
	f := fields.NewReader(b[1:])
	e := &l.item.Entry
	e.Kind, e.Extents = set.Kind(b[0]), -1
	l.depth, l.name = int(f.Number()), f.Text()
	e.Mode = fs.FileMode(f.Number())
	e.MTime = f.Time()
	l.item.Failed = f.Text()
	switch e.Kind {
	case set.File:
		e.Size, l.dev, l.ino = int64(f.Number()), f.Number(), f.Number()
		if sum := f.Text(); sum != "" {
			e.SHA256 = []byte(sum)
		}
		e.Extents = int(f.Signed())
		l.item.Extents = parseExtents(f, e.Extents)
	case set.Link:
		e.Target = f.Text()
	}
	if !f.Whole() {
		return l, errDamaged
	}
	return l, nil
}

// parseExtents reads as many as a file has: nil of one that is not sparse, and some, if none at
// all, of one that is.
func parseExtents(f *fields.Reader, n int) []set.Extent {
	if n > f.Left() {
		f.Fail()
	}
	if n < 0 || n > f.Left() {
		return nil
	}
	x := make([]set.Extent, n)
	for i := range x {
		x[i] = set.Extent{Offset: int64(f.Number()), Length: int64(f.Number())}
	}
	return x
}

// readSize is that of the buffer behind the file.
const readSize = 64 << 10

// lines reads the file from its start.
type lines struct {
	from  *bufio.Reader
	at    int64 // of the next line
	arg   int
	left  uint64   // entries of the argument that are to come
	begun bool     // the argument was told
	names []string // of the latest entry
	buf   []byte
}

func (r *lines) rewind(ix *Index) {
	*r = *linesOf(io.NewSectionReader(ix.file, 0, ix.size))
}

func linesOf(from io.Reader) *lines { return &lines{from: bufio.NewReaderSize(from, readSize)} }

func (r *lines) next(ix *Index) (set.Item, error) {
	if r.begun && r.left == 0 {
		r.arg++
		r.begun = false
	}
	if r.arg == len(ix.args) {
		return set.Item{}, io.EOF
	}
	if !r.begun {
		r.begun, r.left = true, ix.args[r.arg].Entries
		return set.Item{Argument: ix.argument(r.arg)}, nil
	}
	at := r.at
	l, err := r.line()
	if err != nil {
		return set.Item{}, errors.Join(errDamaged, err)
	}
	r.left--
	it := l.item
	it.Entry.Path = append([]string(nil), r.names...)
	if it.Entry.Kind == set.File {
		it.Origin = &origin{arg: r.arg, at: at, dev: l.dev, ino: l.ino}
	}
	return it, nil
}

// line reads the next one, and has the names of its path.
func (r *lines) line() (line, error) {
	var err error
	if r.buf, err = read(r.from, r.buf); err != nil {
		return line{}, err
	}
	r.at += int64(lengthSize + len(r.buf))
	l, err := parse(r.buf)
	if err != nil {
		return line{}, err
	}
	if l.depth > len(r.names)+1 {
		return line{}, errDamaged
	}
	if r.names = r.names[:max(l.depth-1, 0)]; l.depth > 0 {
		r.names = append(r.names, l.name)
	}
	return l, nil
}

// maxLine bounds a line: its extents, of two numbers each, and what else it says.
const maxLine = set.MaxExtents*2*binary.MaxVarintLen64 + 1<<20

// read reads a line without its length.
func read(r io.Reader, buf []byte) ([]byte, error) {
	var length [lengthSize]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	long := binary.BigEndian.Uint32(length[:])
	if long > maxLine { // before it becomes an int, which may have no more bits
		return nil, errDamaged
	}
	n := int(long)
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	_, err := io.ReadFull(r, buf[:n])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return buf[:n], err
}
