//go:build darwin || freebsd || netbsd || openbsd

package tree

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dateLink sets the time of a link itself.
func dateLink(dir int, name string, mtime time.Time) error {
	at, err := unix.TimeToTimespec(mtime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// flush would let the system begin to write a file to the disk: here, syncing does it.
func flush(*os.File) {}
