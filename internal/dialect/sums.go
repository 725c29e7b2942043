package dialect

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"hash"
	"maps"
	"slices"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// hashAlgo is the hash that our offers announce.
const hashAlgo = "sha-256"

// errNoChecksum: a checksum that was waited for did not come.
var errNoChecksum = errors.New("no checksum in time")

// WrongChecksumError means that what came is not what the sender says that it sent. It is
// a fault.ErrChecksum.
type WrongChecksumError struct{ algo string }

// Error implements error.
func (e *WrongChecksumError) Error() string {
	return "the checksum (" + clean.Text(e.algo) + ") is not that of what came"
}

// Unwrap returns fault.ErrChecksum.
func (e *WrongChecksumError) Unwrap() error { return fault.ErrChecksum }

// wireSum hashes the bytes that go over the path of one session: of an encrypted file
// they are what encrypts it, and their hash says nothing of the file.
type wireSum struct {
	sums      map[string]hash.Hash
	told      []jingle.Hash // in the offer
	announced bool          // a checksum is to follow
	matched   []string      // algorithms of the hashes that were right
}

// newWireSum is for the sender's own algorithm, and for those that the offer of
// a contact announced. Others cannot be checked.
func newWireSum(f *jingle.File) *wireSum {
	w := &wireSum{sums: map[string]hash.Hash{hashAlgo: sha256.New()}, told: f.Hashes}
	for _, h := range f.Hashes {
		w.add(h.Algo)
	}
	for _, algo := range f.HashUsed {
		w.announced = w.add(algo) || w.announced
	}
	return w
}

// add hashes with one more algorithm, if it is one of the document's time.
func (w *wireSum) add(algo string) bool {
	switch {
	case w.sums[algo] != nil:
	case algo == "sha-1":
		w.sums[algo] = sha1.New()
	case algo == "sha-512":
		w.sums[algo] = sha512.New()
	default:
		return false
	}
	return true
}

// Write implements io.Writer; a hash does not fail.
func (w *wireSum) Write(p []byte) (int, error) {
	for _, h := range w.sums {
		_, _ = h.Write(p)
	}
	return len(p), nil
}

// tap is the path with everything that is read and written hashed on its way.
// Of a bytestream one direction carries the file; what a receiver writes back is
// not read through here.
func (w *wireSum) tap(c stream.Conn) stream.Conn { return stream.Tap(c, w) }

// sha256 is that hash of what went over the path.
func (w *wireSum) sha256() []byte { return w.sums[hashAlgo].Sum(nil) }

// hashes are all that were computed, in the order of their names.
func (w *wireSum) hashes() (out []jingle.Hash) {
	for _, algo := range slices.Sorted(maps.Keys(w.sums)) {
		out = append(out, jingle.Hash{Algo: algo, Value: w.sums[algo].Sum(nil)})
	}
	return out
}

// compare holds hashes of the contact's against ours. checked reports whether one
// of them could be compared; a value that cannot be read is a wrong one.
func (w *wireSum) compare(told []jingle.Hash) (checked bool, err error) {
	for _, h := range told {
		sum := w.sums[h.Algo]
		if sum == nil {
			continue
		}
		if subtle.ConstantTimeCompare(sum.Sum(nil), h.Value) != 1 {
			return true, &WrongChecksumError{h.Algo}
		}
		w.matched = append(w.matched, h.Algo)
		checked = true
	}
	return checked, nil
}

// awaitSum gives look what comes within patience, or what has come. That nothing
// does is no error: what protects the file has been verified all the same.
func awaitSum(ctx context.Context, await Await, patience time.Duration, look func(*xmltree.Element) (bool, error)) error {
	err := await(patience, errNoChecksum, look)
	var wrong *WrongChecksumError
	switch {
	case errors.As(err, &wrong):
		return err
	case err != nil && patience > 0 && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// plainSum is what is known of the hash of a file that goes without encryption.
// It says that the bytes are those that somebody meant, and nothing about who.
type plainSum struct {
	*wireSum               // what goes over the path is the file
	patience time.Duration // for a checksum that is to come
	libervia bool          // writes and reads a hash as base64 of hex
}

// newPlainSum is for a file as a contact offered it, or for nil, one of ours.
func newPlainSum(file *xmltree.Element) *plainSum {
	f := &jingle.File{Hashes: jingle.HashesIn(file)}
	for _, x := range slices.Concat(file.All("", "hash"), file.All("", "hash-used")) {
		f.HashUsed = append(f.HashUsed, x.Attr("algo"))
	}
	s := &plainSum{wireSum: newWireSum(f), patience: plainSumTime}
	if s.announced {
		s.patience = ChecksumTime
	}
	return s
}

// verified are the algorithms by which what came is what the sender says.
func (s *plainSum) verified() []string {
	slices.Sort(s.matched)
	return append([]string{}, slices.Compact(s.matched)...)
}
