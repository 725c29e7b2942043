// Package set is what two jetsends say in a set, a session that carries many files: the
// messages in both directions, as bytes. It knows no files and no sessions.
//
// A message is its kind (1 byte), the length of its body (a base-128 varint, at most
// [MaxBody]) and the body. Messages follow each other in the plaintext of records
// (crypto.RecordWriter), and may be cut by their borders.
//
// Numbers are unsigned base-128 varints as in encoding/binary, signed ones zigzag. Byte
// strings are preceded by their length. Nothing may stand behind the last member.
package set

import (
	"errors"
	"fmt"
)

// The bounds of messages. Those of a whole index are for who reads it.
const (
	// MaxBody is the longest body of a message.
	MaxBody = 128 << 10
	// MaxData is how many bytes of a file a message carries at most.
	MaxData = 64 << 10
	// MaxPath bounds the bytes of the names of a path together with one separator after
	// each, and a link's target: PATH_MAX with its NUL, beyond which other programs cannot
	// open it.
	MaxPath = 4096
	// MaxReason bounds the reason of a failure.
	MaxReason = 500
	// MaxExtentsEach is how many extents a message carries at most.
	MaxExtentsEach = 4096
	// MaxArguments bounds those of a set: both ends have them in memory.
	MaxArguments = 1 << 16
	// MaxEntries bounds those of a set.
	MaxEntries = 1 << 22
	// MaxName bounds the name of an argument: file systems have 255 characters of up to
	// four bytes.
	MaxName = 1024
	// MaxExtents bounds those of a file.
	MaxExtents = 1 << 20
)

// ErrMessage says that a message is malformed, or says what no honest jetsend says.
var ErrMessage = errors.New("malformed message")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMessage, fmt.Sprintf(format, args...))
}
