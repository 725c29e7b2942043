package fsys

import "golang.org/x/sys/unix"

func statfs(fd int) (room, error) {
	var s unix.Statvfs_t
	err := unix.Fstatvfs(fd, &s)
	return room{int64(s.Bavail) * int64(s.Frsize), number(s.Fsidx.X__fsid_val)}, err
}
