package fileid

import (
	"hash/fnv"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsteady are the file systems whose inodes are numbered by the system as it
// meets them: a file has another number after the next mount.
func unsteady(name string) bool {
	return slices.Contains([]string{"msdos", "exfat", "smbfs", "webdav", "macfuse", "osxfuse", "fusefs"}, name)
}

func kind(f *os.File) (magic uint64, steady bool, err error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, false, err
	}
	name := unix.ByteSliceToString(s.Fstypename[:])
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64(), !unsteady(name), nil
}

func changed(s *syscall.Stat_t) int64 { return s.Ctimespec.Nano() }
