package tree

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func renameNoReplace(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
}

// dateLink sets the time of a link itself.
func dateLink(dir int, name string, mtime time.Time) error {
	at, err := unix.TimeToTimespec(mtime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// bornAt is when a file was made, zero where that is not known: inodes come again.
func bornAt(f *os.File) time.Time {
	var s unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &s)
	runtime.KeepAlive(f)
	if err != nil || s.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}
	}
	return time.Unix(s.Btime.Sec, int64(s.Btime.Nsec))
}

// flush lets the system begin to write a file to the disk. Nobody waits for it.
func flush(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // syncing does it as well
	runtime.KeepAlive(f)
}
