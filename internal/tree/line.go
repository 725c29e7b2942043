package tree

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"time"

	"jetsend/internal/fields"
	"jetsend/internal/set"
)

// line is what the record of a folder says of one entry: what was sent, and what was put
// on the disk for it.
type line struct {
	key  string // the names of its path, with a NUL between two
	kind set.Kind
	// As it was sent.
	size   int64
	mtime  time.Time
	mode   fs.FileMode
	target string
	// As it is here.
	name    string    // the last name, if that is another one
	length  int64     // of a directory found, see below
	changed time.Time // of the root of a folder, when that was made
	inode   uint64
}

// found, as the length of a directory, says that it was there, and no set has made it.
const found = 1

// keyOf is a path in the form whose order as bytes is the order of the index.
func keyOf(path []string) string { return strings.Join(path, "\x00") }

// named is the last name of an entry here.
func (l *line) named() string {
	if l.name != "" {
		return l.name
	}
	return l.key[strings.LastIndexByte(l.key, 0)+1:]
}

// errRecord says that a record is not one, from some line on.
var errRecord = errors.New("damaged record")

// maxLine bounds the bytes of a line: a path, a target, a name, and numbers.
const maxLine = 3*set.MaxPath + 256

// append appends the line, preceded by its length and followed by its CRC-32.
func (l *line) append(b []byte) []byte {
	body := fields.AppendText([]byte{byte(l.kind)}, l.key)
	body = fields.AppendTime(binary.AppendUvarint(body, uint64(l.size)), l.mtime)
	body = binary.AppendUvarint(body, uint64(l.mode))
	body = fields.AppendText(fields.AppendText(body, l.target), l.name)
	body = fields.AppendTime(binary.AppendUvarint(body, uint64(l.length)), l.changed)
	body = binary.AppendUvarint(body, l.inode)
	b = append(binary.AppendUvarint(b, uint64(len(body))), body...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
}

// readLine reads a line. io.EOF is the end of the record; errRecord says that what follows
// was not written whole.
func readLine(r io.Reader, bytes io.ByteReader) (*line, error) {
	n, err := binary.ReadUvarint(bytes)
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil || n == 0 || n > maxLine {
		return nil, errRecord
	}
	b := make([]byte, n+crc32.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, errRecord
	}
	body := b[:n]
	if binary.LittleEndian.Uint32(b[n:]) != crc32.ChecksumIEEE(body) {
		return nil, errRecord
	}
	f := fields.NewReader(body[1:])
	l := &line{kind: set.Kind(body[0]), key: f.Text(), size: f.Size(), mtime: f.Time(), mode: fs.FileMode(f.Number())}
	l.target, l.name, l.length, l.changed, l.inode = f.Text(), f.Text(), f.Size(), f.Time(), f.Number()
	if !f.Whole() || strings.Contains(l.name, "/") || l.name == "." || l.name == ".." {
		return nil, errRecord
	}
	return l, nil
}
