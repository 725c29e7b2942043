package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"math"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"jetsend/internal/fileid"
)

// blockSize is the unit of a tar stream: headers are whole blocks, and data
// are filled up to one.
const blockSize = 512

// endSize is what ends a tar stream: two blocks of zeros.
const endSize = 2 * blockSize

// top is the path of the directory itself.
const top = "."

// entry is one line of a manifest.
type entry struct {
	path string // below the directory, with slashes; top for itself
	link string // target of a symbolic link
	kind byte   // tar.TypeReg, tar.TypeDir, tar.TypeSymlink
	mode fs.FileMode
	size int64 // of a regular file, else 0
	sec  int64 // time of the last change, as Unix time
	nsec int64
	at   int64     // where its header starts in the stream
	head int64     // length of its header
	id   fileid.ID // of a regular file
}

func (e *entry) mtime() time.Time { return time.Unix(e.sec, e.nsec) }

// is reports whether a file is still the one that was scanned.
func (e *entry) is(info fs.FileInfo, id fileid.ID) bool {
	return info.Mode().IsRegular() && info.Size() == e.size && info.ModTime().Equal(e.mtime()) && id.Is(e.id)
}

// equal reports whether two scans found the same. A file may have got, say, another
// link to it between the two, which changes what is known of it.
func (e *entry) equal(o *entry) bool {
	now := *o
	now.at = e.at // it follows from what is before
	if now.id.Is(e.id) {
		now.id = e.id
	}
	return *e == now
}

// sameDir reports whether both are the same directory, at whatever times it was changed:
// what is made or removed in it may be excluded.
func (e *entry) sameDir(o *entry) bool {
	now := *o
	now.sec, now.nsec, now.at, now.head = e.sec, e.nsec, e.at, e.head
	return e.kind == tar.TypeDir && *e == now
}

// end is where the next entry starts.
func (e *entry) end() int64 { return e.at + e.head + padded(e.size) }

// padded rounds up to whole blocks.
func padded(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// Skipped is something that is not in the archive.
type Skipped struct {
	Path   string // below the directory, with slashes
	Reason string
}

// Manifest is a directory as it was when it was scanned. It does not change.
type Manifest struct {
	dir     string // absolute
	name    string
	entries []entry
	skipped []Skipped
	// excluded is that of Scan.
	excluded Excluded
	files    int
	bytes    int64
	origin   fileid.Digest
}

// Name is the base name of the directory, and the top of the stream.
func (m *Manifest) Name() string { return m.name }

// Size is the exact number of bytes of the stream.
func (m *Manifest) Size() int64 { return m.entries[len(m.entries)-1].end() + endSize }

// excludes reports whether an entry is left out.
func (m *Manifest) excludes(path string, dir bool) bool {
	return m.excluded != nil && m.excluded(path, dir)
}

// Files returns how many regular files there are, and the bytes in them.
func (m *Manifest) Files() (count int, bytes int64) { return m.files, m.bytes }

// Skipped lists what is not in the archive, so that people can be told. The
// paths are names of local files: not safe to show as they are.
func (m *Manifest) Skipped() []Skipped { return m.skipped }

// Digest is a SHA-256 over all that the stream depends on but the content of
// the files, for which size and time stand. A stream may be gone on with when
// the digest of a new scan equals the one that it was begun with.
func (m *Manifest) Digest() [sha256.Size]byte {
	h := sha256.New()
	var b []byte
	text := func(s string) { b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...) }
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text("jetsend archive 1")
	text(m.name)
	for i := range m.entries {
		e := &m.entries[i]
		text(e.path)
		text(e.link)
		for _, n := range []int64{int64(e.kind), int64(e.mode), e.size, e.sec, e.nsec, e.head} {
			number(n)
		}
		_, _ = h.Write(b) // never fails
		b = b[:0]
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Origin is the identity of the files, for [fileid.Same]: the same digest says
// that the stream would be the same, the same origin that it would be read from
// the same files.
func (m *Manifest) Origin() []byte { return m.origin.Sum() }

// header returns the bytes before the data of an entry.
func (m *Manifest) header(e *entry) ([]byte, error) {
	name := path.Join(m.name, e.path)
	if e.kind == tar.TypeDir {
		name += "/"
	}
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: e.kind,
		Name:     name,
		Linkname: e.link,
		Size:     e.size,
		Mode:     int64(e.mode),
		ModTime:  e.mtime(),
		Format:   tar.FormatPAX, // seconds have fractions only there
	})
	return b.Bytes(), err
}

// add appends an entry and gives it its place in the stream.
func (m *Manifest) add(e entry) error {
	b, err := m.header(&e)
	if err != nil {
		return err
	}
	e.head = int64(len(b))
	if n := len(m.entries); n > 0 {
		e.at = m.entries[n-1].end()
	}
	if e.size > math.MaxInt64-e.at-e.head-blockSize-endSize { // sparse files can claim so much
		return ErrTooMany
	}
	if e.kind == tar.TypeReg {
		m.files++
		m.bytes += e.size
		m.origin.Add(e.id)
	}
	m.entries = append(m.entries, e)
	return nil
}

// find returns the index of the entry that off lies in, or len(m.entries) for
// the end of the stream.
func (m *Manifest) find(off int64) int {
	return sort.Search(len(m.entries), func(i int) bool { return off < m.entries[i].end() })
}

// differs returns the first path in which two manifests differ.
func (m *Manifest) differs(o *Manifest) (string, bool) {
	for i := range min(len(m.entries), len(o.entries)) {
		a, b := &m.entries[i], &o.entries[i]
		switch {
		case a.equal(b), m.excluded != nil && a.sameDir(b):
		case a.path == b.path, before(a.path, b.path):
			return a.path, true // changed, gone
		default:
			return b.path, true // new
		}
	}
	switch n := min(len(m.entries), len(o.entries)); {
	case len(m.entries) > n:
		return m.entries[n].path, true
	case len(o.entries) > n:
		return o.entries[n].path, true
	}
	return "", false
}

// before reports whether a comes before b in a manifest.
func before(a, b string) bool {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) < 0
}
