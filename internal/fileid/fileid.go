// Package fileid reports whether a file is still the one that it was, and not
// another one of the same path, size and time, be it in the same run or after
// a restart of the machine.
package fileid

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"os"
)

// ID is what a system knows a file by.
type ID struct {
	device uint64
	inode  uint64 // 0 on a file system that numbers its files anew each time
	kind   uint64 // of the file system
	change int64  // time of the last change of content or attributes, in nanoseconds: nobody can set it
}

// Steady reports whether a file has its number for good: some file systems number their
// files anew each time.
func Steady(f *os.File) (bool, error) {
	_, steady, err := kind(f)
	return steady, err
}

// Is reports whether both are one file, as far as one run can see: a file keeps
// its device as long as the machine runs.
func (id ID) Is(other ID) bool { return id.device == other.device && id.inode == other.inode }

// Digest is the identity of one file or of several, in their order, as it is
// kept for a later run. The zero value has none yet.
type Digest struct{ places, changes hash.Hash }

// Size is the length of a [Digest.Sum].
const Size = 2 * sha256.Size

// Add adds a file.
func (d *Digest) Add(id ID) {
	if d.places == nil {
		d.places, d.changes = sha256.New(), sha256.New()
	}
	add := func(h hash.Hash, numbers ...uint64) {
		var b []byte
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		_, _ = h.Write(b) // never fails
	}
	add(d.places, id.device, id.inode)
	add(d.changes, id.kind, id.inode, uint64(id.change))
}

// Sum is the identity of what was added, nil when that is nothing.
func (d *Digest) Sum() []byte {
	if d.places == nil {
		return nil
	}
	return d.changes.Sum(d.places.Sum(nil))
}

// Same reports whether two sums are of the same files. Each holds two digests, and
// one that is equal is enough: over devices and inodes, and over inodes and the
// times of their last change. A device may have another number after a restart or
// when a disk is plugged in again, while the time changes with the permissions;
// another file has neither the one nor the other. No sum is like every other: that
// of a transfer from before there were any.
func Same(a, b []byte) bool {
	if len(a) != Size || len(b) != Size {
		return len(a) == 0 || len(b) == 0
	}
	return string(a[:sha256.Size]) == string(b[:sha256.Size]) || string(a[sha256.Size:]) == string(b[sha256.Size:])
}
