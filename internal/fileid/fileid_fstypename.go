//go:build darwin || freebsd

package fileid

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// fileSystem is the name of the kind of file system that a file is on.
func fileSystem(fd int) (string, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(s.Fstypename[:]), nil
}

func changed(s *syscall.Stat_t) int64 { return s.Ctimespec.Nano() }
