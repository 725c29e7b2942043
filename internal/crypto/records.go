package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxRecord is how many bytes of plaintext a record holds at most.
	MaxRecord = 64 << 10
	// RandomSize is the length of what the responder draws for a session of records.
	RandomSize = 32
	// recordHeader is the length of a record's header, recordTag that of its tag.
	recordHeader = 4
	recordTag    = 16
	// recordFinal in a header says that no record follows.
	recordFinal = 1 << 31
	// recordsPerKey is after how many records a direction has its next key: far below
	// what SP 800-38D, section 8.3, allows with counted nonces.
	recordsPerKey = 1 << 20
	// recordsInfo begins the info of every derivation.
	recordsInfo = "jetsend set 1 "
)

// ErrCut says that a stream of records has ended before its final one.
var ErrCut = errors.New("the stream was cut")

// ErrRecord says that a record is longer than [MaxRecord].
var ErrRecord = errors.New("malformed record")

// Role is an end of a Jingle session: the direction that it writes has keys of its own.
type Role string

// The roles.
const (
	Initiator Role = "initiator"
	Responder Role = "responder"
)

// Binding is what the keys of a session of records belong to, beside the secret. Either
// end writes under them, so that they must not come twice although somebody replays an
// envelope, or has the transport replaced: all of it goes into the derivation.
type Binding struct {
	// Random is what the responder has drawn, told in its sealed accept.
	Random [RandomSize]byte
	// Transfer is the id of the transfer, SID that of the session.
	Transfer, SID string
	// Initiator and Responder are the session's full JIDs, normalised.
	Initiator, Responder string
	// Offer and Accept are the SHA-256 of the sealed elements, as plaintext.
	Offer, Accept [sha256.Size]byte
	// Bytestream is the sid of the bytestream that carries the records.
	Bytestream string
}

// NewRandom draws what the responder tells.
func NewRandom() (r [RandomSize]byte) {
	rand.Read(r[:]) // never fails: it ends the program rather
	return r
}

// digest is the SHA-256 of all fields but Random.
func (b *Binding) digest() [sha256.Size]byte {
	return sha256.Sum256(prefixed(b.Transfer, b.SID, b.Initiator, b.Responder, string(b.Offer[:]), string(b.Accept[:]), b.Bytestream))
}

// records derives the first secret of the direction that role writes. A secret encrypts
// either a stream or records, and no records to be written are derived twice of the same.
func (s *Secret) records(role Role, b *Binding, write bool) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.spent {
		return nil, ErrReused
	}
	s.recorded = true
	salt := append(append([]byte{}, s.iv...), b.Random[:]...)
	sum := b.digest()
	info := recordsInfo + string(role) + " " + string(sum[:])
	if which := sha256.Sum256(append(salt, info...)); write {
		if s.wrote[which] {
			return nil, ErrReused
		}
		if s.wrote == nil {
			s.wrote = map[[sha256.Size]byte]bool{}
		}
		s.wrote[which] = true
	}
	return derive(s.key, salt, info, sha256.Size)
}

// chain is the keys of one direction, one after the other: from a secret come a key and
// the next secret, and what came before cannot be computed any more.
type chain struct {
	secret []byte
	aead   cipher.AEAD
	left   int    // records under the key of the moment
	number uint64 // of the next record in this direction: its nonce
	most   int    // records per key
}

func newChain(s *Secret, role Role, b *Binding, write bool) (*chain, error) {
	secret, err := s.records(role, b, write)
	if err != nil {
		return nil, fmt.Errorf("prepare records: %w", err)
	}
	return &chain{secret: secret, most: recordsPerKey}, nil
}

// next gives cipher and nonce of the next record.
func (c *chain) next() (cipher.AEAD, []byte, error) {
	if c.left == 0 {
		if err := c.advance(); err != nil {
			return nil, nil, err
		}
	}
	c.left--
	nonce := binary.BigEndian.AppendUint64(make([]byte, 4, shortIV), c.number)
	c.number++
	return c.aead, nonce, nil
}

func (c *chain) advance() error {
	key, err := hkdf.Expand(sha256.New, c.secret, recordsInfo+"key", sealedKeySize)
	if err != nil {
		return fmt.Errorf("derive key: %w", err)
	}
	defer clear(key)
	secret, err := hkdf.Expand(sha256.New, c.secret, recordsInfo+"next", sha256.Size)
	if err != nil {
		return fmt.Errorf("derive key: %w", err)
	}
	clear(c.secret)
	c.secret = secret
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("prepare AES: %w", err)
	}
	c.aead, err = cipher.NewGCM(block)
	c.left = c.most
	return err
}

// RecordWriter writes one direction of a session of records. It is not for several
// goroutines.
type RecordWriter struct {
	w     io.Writer
	chain *chain
	buf   []byte
	err   error // of an earlier record
}

// NewRecordWriter makes the direction that role writes. The secret encrypts no stream
// after it; the same role and binding again is [ErrReused].
func NewRecordWriter(w io.Writer, s *Secret, role Role, b Binding) (*RecordWriter, error) {
	c, err := newChain(s, role, &b, true)
	if err != nil {
		return nil, err
	}
	return &RecordWriter{w: w, chain: c, buf: make([]byte, 0, recordHeader+MaxRecord+recordTag)}, nil
}

// Write writes p, of at most [MaxRecord] bytes, as one record; it may be empty. Nothing
// can be written after a final one, or after an error.
func (w *RecordWriter) Write(p []byte, final bool) error {
	if w.err != nil {
		return w.err
	}
	if len(p) > MaxRecord {
		return fmt.Errorf("write record: %w: %d bytes", ErrRecord, len(p))
	}
	w.err = w.write(p, final)
	if w.err == nil && final {
		w.err = ErrClosed
		return nil
	}
	return w.err
}

func (w *RecordWriter) write(p []byte, final bool) error {
	head := uint32(len(p))
	if final {
		head |= recordFinal
	}
	aead, nonce, err := w.chain.next()
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(w.buf, head)
	b = aead.Seal(b, nonce, p, b[:recordHeader])
	if _, err := writeFull(w.w, b); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// RecordReader reads one direction of a session of records. Everything that it returns is
// authentic. It is not for several goroutines.
type RecordReader struct {
	r     io.Reader
	chain *chain
	buf   []byte
	err   error // of an earlier record
}

// NewRecordReader reads the direction that role writes: that of the other end.
func NewRecordReader(r io.Reader, s *Secret, role Role, b Binding) (*RecordReader, error) {
	c, err := newChain(s, role, &b, false)
	if err != nil {
		return nil, err
	}
	return &RecordReader{r: r, chain: c, buf: make([]byte, recordHeader+MaxRecord+recordTag)}, nil
}

// Read returns the plaintext of the next record, which is valid until the next call:
// [io.EOF] after the final one, [ErrCut] when the stream ends before that,
// [ErrAuthentication] for a record that was not written here by the other end. It reads
// nothing beyond the record.
func (r *RecordReader) Read() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	p, final, err := r.read()
	switch {
	case err != nil:
		r.err = err
		return nil, err
	case final:
		r.err = io.EOF
	}
	return p, nil
}

func (r *RecordReader) read() (p []byte, final bool, err error) {
	if err := r.fill(r.buf[:recordHeader]); err != nil {
		return nil, false, err
	}
	head := binary.BigEndian.Uint32(r.buf)
	size := int(head &^ recordFinal)
	if size > MaxRecord {
		return nil, false, fmt.Errorf("read record: %w: %d bytes", ErrRecord, size)
	}
	body := r.buf[recordHeader : recordHeader+size+recordTag]
	if err := r.fill(body); err != nil {
		return nil, false, err
	}
	aead, nonce, err := r.chain.next()
	if err != nil {
		return nil, false, err
	}
	if p, err = aead.Open(body[:0], nonce, body, r.buf[:recordHeader]); err != nil {
		return nil, false, fmt.Errorf("read record: %w", ErrAuthentication)
	}
	return p, head&recordFinal != 0, nil
}

// fill reads a part of a record.
func (r *RecordReader) fill(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read record: %w", ErrCut)
	case err != nil:
		return fmt.Errorf("read record: %w", err)
	}
	return nil
}
