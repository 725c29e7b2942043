package tree

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func renameNoReplace(fromDir int, from string, toDir int, to string) error {
	return unix.RenameatxNp(fromDir, from, toDir, to, unix.RENAME_EXCL)
}

// dateLink sets the time of a link itself.
func dateLink(dir int, name string, mtime time.Time) error {
	at, err := unix.TimeToTimespec(mtime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// bornAt is when a file was made, zero where that is not known: inodes come again.
func bornAt(f *os.File) time.Time {
	var s unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &s)
	runtime.KeepAlive(f)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(s.Btim.Unix())
}

// flush would let the system begin to write a file to the disk: here, syncing does it.
func flush(*os.File) {}
