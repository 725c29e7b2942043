package flock

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/windows"
)

// beyond is the upper half of the place of the one byte that is locked. What is locked
// nobody else can read, so it lies behind the end of every file.
const beyond = 1 << 30

func lock(f *os.File, alone bool) error {
	how := uint32(0)
	if alone {
		how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: beyond})
	runtime.KeepAlive(f)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrHeld
	}
	return err
}
