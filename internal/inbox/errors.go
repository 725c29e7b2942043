package inbox

import (
	"errors"
	"fmt"

	"jetsend/internal/fsys"
)

// ErrExists means that the name is taken and may not be replaced.
var ErrExists = errors.New("file exists")

// ErrCrowded means that no number is left which would tell one more file of the name
// from the others. It is an ErrExists.
var ErrCrowded = fmt.Errorf("10,000 files have that name and a number already: %w", ErrExists)

// ErrNoSpace means that the file does not fit, now or with the space to be left free.
var ErrNoSpace = errors.New("no space left")

// ErrFileSize means that the file system, or a limit of the process, takes no file
// of that size.
var ErrFileSize = errors.New("file too large for the file system")

// ErrTooLong means that more bytes were written than were announced.
var ErrTooLong = errors.New("more data than announced")

// ErrGone means that a transfer has no partial file.
var ErrGone = errors.New("partial file is gone")

// ErrForeign means that what has the name of a partial file is none of ours: a
// link, a directory, a device, the file of another user, one that others may
// write, or one with a second name. It is left alone.
var ErrForeign = errors.New("not a partial file of our own")

// ShortError means that a partial file is shorter than it should be.
type ShortError struct{ Have int64 } // bytes that are there

// Error says how much is there.
func (e *ShortError) Error() string {
	return fmt.Sprintf("partial file is cut short: %d bytes are left", e.Have)
}

// noSpace makes ErrNoSpace of what systems say when the disk or the quota is full, and
// ErrFileSize of what they say to a file that is larger than any may be.
func noSpace(err error) error {
	if fsys.Full(err) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if fsys.TooLarge(err) {
		return fmt.Errorf("%w: %w", ErrFileSize, err)
	}
	return err
}
