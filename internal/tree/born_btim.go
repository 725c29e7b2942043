//go:build darwin || freebsd || netbsd

package tree

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

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
