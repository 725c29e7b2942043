//go:build darwin || freebsd || netbsd || openbsd

package fileid

import (
	"hash/fnv"
	"os"
	"slices"
	"strings"
)

// unsteady are the file systems whose inodes are numbered by the system as it
// meets them: a file has another number after the next mount. Those of programs
// say which one after a dot or a bar: fusefs.sshfs, puffs|9p.
func unsteady(name string) bool {
	if i := strings.IndexAny(name, ".|"); i >= 0 {
		name = name[:i]
	}
	return slices.Contains([]string{"msdos", "msdosfs", "exfat", "fuse", "fusefs", "macfuse", "osxfuse", "smbfs", "webdav", "puffs", "perfuse", "p9fs"}, name)
}

func kind(f *os.File) (magic uint64, steady bool, err error) {
	name, err := fileSystem(int(f.Fd()))
	if err != nil {
		return 0, false, err
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum64(), !unsteady(name), nil
}
