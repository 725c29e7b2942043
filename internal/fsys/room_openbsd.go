package fsys

import "golang.org/x/sys/unix"

func statfs(fd int) (room, error) {
	var s unix.Statfs_t
	err := unix.Fstatfs(fd, &s)
	return room{s.F_bavail * int64(s.F_bsize), number(s.F_fsid.Val)}, err
}
