package fileid

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unsteady are the file systems, by the magic numbers of statfs(2), whose inodes
// are numbered by the system as it meets them: a file has another number after
// the next mount, or when memory was short.
func unsteady(magic uint32) bool {
	switch magic {
	case unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
		unix.V9FS_MAGIC, vboxfs:
		return true
	}
	return false
}

// vboxfs is that of the shared folders of VirtualBox.
const vboxfs = 0x786f4256

func kind(f *os.File) (magic uint64, steady bool, err error) {
	var s unix.Statfs_t
	for {
		if err = unix.Fstatfs(int(f.Fd()), &s); err != unix.EINTR {
			break
		}
	}
	return uint64(uint32(s.Type)), !unsteady(uint32(s.Type)), err
}

// Changed is the last change of content or attributes, which nobody can set.
func Changed(s *syscall.Stat_t) time.Time { return time.Unix(s.Ctim.Unix()) }
