package archive

import (
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetTime sets the time of the last change of an open file or directory. Its
// name could mean something else in the next moment.
func SetTime(f *os.File, mtime time.Time) error {
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {}}
	var err error
	if times[1], err = unix.TimeToTimespec(mtime); err != nil {
		return err
	}
	// futimens(3): utimensat(2) without a path means the descriptor itself.
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, f.Fd(), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	runtime.KeepAlive(f)
	if errno != 0 {
		return &os.PathError{Op: "futimens", Path: f.Name(), Err: errno}
	}
	return nil
}
