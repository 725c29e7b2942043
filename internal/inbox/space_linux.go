package inbox

import (
	"errors"
	"os"
	"syscall"
)

// keepSize is FALLOC_FL_KEEP_SIZE of fallocate(2): the length of the file stays
// what was written.
const keepSize = 1

// preallocate reserves the blocks of n bytes.
func preallocate(f *os.File, from, n int64) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(f.Fd()), keepSize, from, n)
	}
	if errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		return nil // not every file system can; writing will tell
	}
	return err
}
