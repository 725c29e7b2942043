//go:build !linux && !windows

package archive

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SetTime sets the time of the last change of an open file or directory, to the
// microsecond. Its name could mean something else in the next moment.
func SetTime(f *os.File, mtime time.Time) error {
	at, err := unix.TimeToTimespec(mtime)
	if err != nil {
		return err
	}
	now := unix.NsecToTimeval(time.Now().UnixNano())
	return unix.Futimes(int(f.Fd()), []unix.Timeval{now, unix.NsecToTimeval(unix.TimespecToNsec(at))})
}
