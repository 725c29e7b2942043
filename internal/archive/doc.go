// Package archive turns a directory into one tar stream and back.
//
// Sending: [Scan] takes a manifest of the directory; from it follow the exact
// size of the stream, a digest that tells a later run whether the directory is
// still the same, and a [Reader] that can start anywhere in the stream without
// reading what is before. Two scans of an unchanged directory give the same
// bytes: entries are sorted, owners are left out.
//
// Receiving: [Extract] unpacks a stream that has been verified already into a
// hidden directory of its own and gives it its final name at the end, whole
// and durable, or leaves nothing. That the sender is authentic does not make
// him honest: every entry is taken for an attack.
//
// # The stream
//
// POSIX.1-2001 pax (IEEE Std 1003.1, "pax Interchange Format"), which other
// programs unpack as well. One directory at the top, named like the one that
// was sent; a directory comes before what is in it. Regular files, directories
// and symbolic links, with permission bits and times; user and group are 0 and
// have no names. A hard link is sent as the file that it is.
//
// A symbolic link is kept when it is relative and leads, name by name, to a
// place inside the directory, whatever stands there. Others would mean
// something else, or nothing, at the other end: they are skipped, and
// [Manifest.Skipped] says so.
//
// # What Extract promises
//
//   - Everything happens below an [os.Root] of the hidden directory.
//   - Symbolic links are made last, when no more files are written: no entry
//     can be written through one.
//   - A name stays as it was sent, byte by byte, unless the file system cannot hold
//     it: then it is made safe by package filename. Each is created exclusively. Where
//     two names fall together (by case, by Unicode normalisation, by what was
//     replaced), the second gets a number. The top has a safe name in any case.
//   - What no honest sender writes refuses the whole archive: absolute and
//     unclean paths, the same path twice, an entry below something that is not
//     a directory of the archive, hard links, devices, FIFOs, sparse files,
//     links that lead out, more than the limits allow.
package archive

import (
	"errors"
	"fmt"
	"strings"

	"jetsend/internal/clean"
)

// The bounds of a tree, on both sides: what can be sent can be unpacked.
const (
	// MaxEntries bounds files, directories and links. A manifest, and the
	// names of a tree that is unpacked, are held in memory: some 100 bytes each.
	MaxEntries = 1 << 18
	// MaxDepth bounds how deep directories are nested: more than people do,
	// and little for what recurses.
	MaxDepth = 100
	// maxPath bounds a path and the target of a link: PATH_MAX with its NUL,
	// beyond which other programs cannot open it.
	maxPath = 4095
	// maxNames bounds the bytes of all paths and targets, because they are
	// held in memory: 256 for each of MaxEntries.
	maxNames = 256 * MaxEntries
)

// ErrNoSpace means that the file system is full, or the user's share of it.
var ErrNoSpace = errors.New("no space left")

// ErrTooMany means that a directory is too large to be sent as one archive:
// more than [MaxEntries] or [MaxDepth], or names too long to hold.
var ErrTooMany = errors.New("directory too large for one archive")

// ChangedError says that the directory is not the one that was scanned any
// more. Path is below the directory, with slashes.
type ChangedError struct {
	Path string
	Err  error // why, may be nil
}

// Error names the file.
func (e *ChangedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%q changed since it was listed: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%q changed since it was listed", e.Path)
}

// Unwrap returns the cause.
func (e *ChangedError) Unwrap() error { return e.Err }

// RefusedError says that a received archive is at fault, not this machine.
type RefusedError struct {
	Entry  string // the path in the archive, made safe to show; "" when there is none
	Reason string
	Err    error // may be nil
}

// Error names the entry and the reason.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString("archive refused: ")
	if e.Entry != "" {
		fmt.Fprintf(&b, "%q: ", e.Entry)
	}
	b.WriteString(e.Reason)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(entry, reason string) error {
	return &RefusedError{Entry: clean.Text(entry), Reason: reason}
}
