package transfer

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"jetsend/internal/jingle"
	"jetsend/internal/xmltree"
)

// plainSumTime is how long a receiver that has all of a plain file waits for a
// checksum that nobody announced: Conversations sends one right behind the last
// byte, Dino none.
const plainSumTime = 2 * time.Second

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
		s.patience = usual.checksumTime
	}
	return s
}

// verified are the algorithms by which what came is what the sender says.
func (s *plainSum) verified() []string {
	slices.Sort(s.matched)
	return append([]string{}, slices.Compact(s.matched)...)
}

// tellPlainSum tells the receiver the SHA-256 of what was sent (XEP-0234 section
// 8.1). One that has left by then does without.
func (t *talk) tellPlainSum(ctx context.Context) {
	value := t.wire.sums[hashAlgo].Sum(nil)
	if t.insecure.libervia {
		value = []byte(hex.EncodeToString(value))
	}
	c := jingle.Checksum{Name: contentName, File: jingle.File{Size: -1, Hashes: []jingle.Hash{{Algo: hashAlgo, Value: value}}}}
	if err := t.tell(ctx, c.Element()); err != nil {
		t.e.log.Debug("checksum of the file", "peer", t.sess.Peer(), "error", err)
	}
}

// awaitPlainSum compares what came with the hash that the offer told, and with the
// checksum that follows it, when there is one: of whatever content it says it is,
// Conversations has a name of its own. A wrong one is a *wrongChecksum, and nothing
// may be released.
func (t *talk) awaitPlainSum(ctx context.Context) error {
	patience := t.insecure.patience
	known, err := t.wire.compare(t.wire.told)
	switch {
	case err != nil:
		return err
	case known:
		patience = 0
	}
	return t.awaitSum(ctx, patience, func(info *xmltree.Element) (bool, error) {
		if !info.Is(jingle.NSFile, "checksum") {
			return false, nil
		}
		return t.wire.compare(jingle.HashesIn(info.Child("", "file")))
	})
}
