package inbox

import (
	"errors"
	"os"
	"syscall"
)

// preallocate reserves the blocks, so that a full disk shows before the offer
// is accepted and not in the middle of it.
func preallocate(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	err := syscall.Fallocate(int(f.Fd()), 1 /* FALLOC_FL_KEEP_SIZE */, 0, size)
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		return nil // not every file system can; writing will tell
	}
	return err
}
