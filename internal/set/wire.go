package set

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"time"
)

// Append appends a message as it is written.
func Append(b []byte, m Message) []byte {
	if d, is := m.(Data); is { // most of what goes out is moved once
		head := Data{Number: d.Number, Offset: d.Offset}.append(make([]byte, 0, 2*binary.MaxVarintLen64))
		b = binary.AppendUvarint(append(b, m.kind()), uint64(len(head)+len(d.Bytes)))
		return append(append(b, head...), d.Bytes...)
	}
	at := len(b)
	b = m.append(append(b, m.kind()))
	body := len(b) - at - 1
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(body))
	b = append(b, size[:n]...)
	copy(b[at+1+n:], b[at+1:at+1+body])
	copy(b[at+1:], size[:n])
	return b
}

// Reader reads messages from the plaintext of records.
type Reader struct {
	next func() ([]byte, error) // record
	left []byte                 // of the record of the moment
	body []byte
	err  error // of an earlier message
}

// NewReader reads messages from what next returns, one record after the other.
func NewReader(next func() ([]byte, error)) *Reader { return &Reader{next: next} }

// Read returns the next message: [io.EOF] after the last one, [io.ErrUnexpectedEOF] when
// the records end within one, ErrMessage for one that is malformed. Nothing is read after
// an error.
func (r *Reader) Read() (m Message, err error) {
	if r.err == nil {
		m, r.err = r.read()
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func (r *Reader) read() (Message, error) {
	kind, err := r.byte()
	if err != nil {
		return nil, err
	}
	size, err := r.length()
	if err != nil {
		return nil, err
	}
	body, err := r.whole(size)
	if err != nil {
		return nil, err
	}
	p := parser{b: body}
	m := p.message(kind)
	if p.err == nil && len(p.b) > 0 {
		p.fail(malformed("%d bytes behind it", len(p.b)))
	}
	if p.err != nil {
		return nil, p.err
	}
	return m, nil
}

// byte returns the next byte; an error is that of the records.
func (r *Reader) byte() (byte, error) {
	for len(r.left) == 0 { // a record may be empty
		var err error
		if r.left, err = r.next(); err != nil {
			return 0, err
		}
	}
	c := r.left[0]
	r.left = r.left[1:]
	return c, nil
}

// inside is byte within a message.
func (r *Reader) inside() (byte, error) {
	c, err := r.byte()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return c, err
}

// length is that of a body.
func (r *Reader) length() (n int, err error) {
	for shift := 0; shift < 21; shift += 7 {
		c, err := r.inside()
		switch n |= int(c&0x7f) << shift; {
		case err != nil:
			return 0, err
		case c >= 0x80:
			continue
		case n > MaxBody || c == 0 && shift > 0:
			return 0, malformed("a body of %d bytes", n)
		}
		return n, nil
	}
	return 0, malformed("a body that is too long")
}

// whole is the body of a message. It is valid until the next one is read.
func (r *Reader) whole(size int) (body []byte, err error) {
	if size <= len(r.left) {
		body, r.left = r.left[:size:size], r.left[size:]
		return body, nil
	}
	r.body, err = r.take(r.body[:0], size)
	return r.body, err
}

// take appends the next n bytes, which are part of a message.
func (r *Reader) take(b []byte, n int) ([]byte, error) {
	for n > 0 {
		c, err := r.inside()
		if err != nil {
			return b, err
		}
		some := min(n-1, len(r.left))
		b = append(append(b, c), r.left[:some]...)
		r.left = r.left[some:]
		n -= 1 + some
	}
	return b, nil
}

// parser takes a body apart. After an error it gives zeros.
type parser struct {
	b   []byte
	err error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err, p.b = err, nil
	}
}

func (p *parser) number() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || n > 1 && p.b[n-1] == 0 { // too short, too large, or not the shortest form
		p.fail(malformed("a number"))
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) signed() int64 {
	u := p.number()
	return int64(u>>1) ^ -int64(u&1) // zigzag, as encoding/binary has it
}

// size is a number of bytes.
func (p *parser) size() int64 {
	v := p.number()
	if v > math.MaxInt64 {
		p.fail(malformed("a size"))
		return 0
	}
	return int64(v)
}

func (p *parser) one() byte {
	if len(p.b) == 0 {
		p.fail(malformed("it is cut off"))
		return 0
	}
	c := p.b[0]
	p.b = p.b[1:]
	return c
}

// text is a byte string of at most so many bytes; it shares the body.
func (p *parser) text(most int) []byte {
	n := p.number()
	if n > uint64(min(most, len(p.b))) {
		p.fail(malformed("a string of %d bytes", n))
		return nil
	}
	t := p.b[:n:n]
	p.b = p.b[n:]
	return t
}

func (p *parser) check(err error) {
	if err != nil {
		p.fail(err)
	}
}

func (p *parser) message(kind byte) Message {
	switch kind {
	case kindEntry:
		return p.entry()
	case kindExtents:
		return p.extents()
	case kindIndexed:
		return Indexed{}
	case kindWant:
		return p.want()
	case kindData:
		return p.data()
	case kindEnd:
		return End{Number: p.number(), SHA256: p.sum()}
	case kindReleased:
		return p.released()
	case kindFailed:
		return Failed{p.number(), string(p.text(MaxReason))}
	case kindDone:
		return Done{p.number(), p.number()}
	case kindAlive:
		return Alive{}
	case kindArgument:
		return p.argument()
	case kindRenamed:
		return Renamed{p.number(), p.name()}
	case kindKept:
		return Kept{p.number(), p.name()}
	}
	p.fail(malformed("kind %d", kind))
	return nil
}

// name is that of one thing in a directory.
func (p *parser) name() string {
	name := string(p.text(MaxPath))
	if p.err == nil {
		p.check(checkName(name))
	}
	return name
}

func (p *parser) released() Message {
	m := Released{p.number(), p.number(), How(p.one())}
	p.check(checkRun(m.First, m.Count))
	if m.How < New || m.How > Equal {
		p.fail(malformed("released in the way %d", m.How))
	}
	return m
}

func (p *parser) argument() Message {
	var a Argument
	if id := p.text(len(a.ID)); len(id) != len(a.ID) {
		p.fail(malformed("an id of %d bytes", len(id)))
	} else {
		copy(a.ID[:], id)
	}
	a.Name = string(p.text(MaxName))
	if folder := p.text(FolderSize); len(folder) > 0 {
		a.Folder = append(a.Folder, folder...)
	}
	if n := len(a.Folder); n != 0 && n != FolderSize {
		p.fail(malformed("a folder's id of %d bytes", n))
	}
	a.Entries, a.Bytes = p.number(), p.size()
	if a.Entries == 0 || a.Entries > MaxEntries {
		p.fail(malformed("an argument of %d entries", a.Entries))
	}
	return a
}

// sum is a SHA-256, or nil for an empty string.
func (p *parser) sum() []byte {
	b := append([]byte(nil), p.text(sha256.Size)...)
	if n := len(b); n != 0 && n != sha256.Size {
		p.fail(malformed("a hash of %d bytes", n))
	}
	return b
}

func (p *parser) entry() Message {
	e := Entry{Kind: Kind(p.one()), Extents: -1}
	if e.Kind < File || e.Kind > Link {
		p.fail(malformed("an entry of kind %d", e.Kind))
	}
	names := p.number()
	if names > MaxPath/2 {
		p.fail(malformed("a path of %d names", names))
	}
	for range names {
		if p.err != nil {
			return nil
		}
		e.Path = append(e.Path, string(p.text(MaxPath)))
	}
	e.Mode = fs.FileMode(min(p.number(), math.MaxUint32))
	seconds, nanos := p.signed(), p.number()
	if nanos >= uint64(time.Second) {
		p.fail(malformed("a time with %d nanoseconds", nanos))
	}
	e.MTime = time.Unix(seconds, int64(nanos)).UTC()
	e.Failed = string(p.text(MaxReason))
	switch e.Kind {
	case File:
		e.Size = p.size()
		if n := p.signed(); n < -1 || n > MaxExtents {
			p.fail(malformed("%d extents", n))
		} else {
			e.Extents = int(n)
		}
		e.SHA256 = p.sum()
	case Link:
		e.Target = string(p.text(MaxPath))
	}
	p.check(e.check())
	return e
}

func (p *parser) extents() Message {
	n := p.number()
	if n == 0 || n > MaxExtentsEach {
		p.fail(malformed("%d extents", n))
	}
	var x Extents
	for range n {
		if p.err != nil {
			return nil
		}
		x.List = append(x.List, Extent{p.size(), p.size()})
	}
	p.check(x.check())
	return x
}

func (p *parser) want() Message {
	w := Want{First: p.number(), Count: p.number()}
	p.check(checkRun(w.First, w.Count))
	switch what := p.one(); what {
	case wantAll:
	case wantNothing:
		w.Nothing = true
	case wantRest:
		w.Have, w.SHA256 = p.size(), p.sum()
		if w.Count != 1 || w.Have == 0 || len(w.SHA256) == 0 {
			p.fail(malformed("the rest of %d entries behind %d bytes", w.Count, w.Have))
		}
	default:
		p.fail(malformed("%d is wanted", what))
	}
	return w
}

func (p *parser) data() Message {
	d := Data{Number: p.number(), Offset: p.size()}
	d.Bytes = p.b
	if n := len(p.b); n == 0 || n > MaxData || int64(n) > math.MaxInt64-d.Offset {
		p.fail(malformed("%d bytes at %d", n, d.Offset))
	}
	p.b = nil
	return d
}
