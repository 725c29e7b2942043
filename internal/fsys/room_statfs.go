//go:build linux || darwin || freebsd

package fsys

import "golang.org/x/sys/unix"

func statfs(fd int) (room, error) {
	var s unix.Statfs_t
	err := unix.Fstatfs(fd, &s)
	return room{int64(s.Bavail) * int64(s.Bsize), number(s.Fsid.Val)}, err
}
