package fileid

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileSystem is the name of the kind of file system that a file is on.
func fileSystem(fd int) (string, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(s.F_fstypename[:]), nil
}

// Changed is the last change of content or attributes, which nobody can set.
func Changed(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctim.Unix()) }
