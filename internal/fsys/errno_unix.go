//go:build unix

package fsys

import (
	"os"
	"syscall"
)

var (
	full     = []error{syscall.ENOSPC, syscall.EDQUOT}
	tooLarge = []error{syscall.EFBIG}
	failing  = []error{syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS, syscall.EBADF}
	readOnly = []error{syscall.EROFS}
	tooLong  = []error{syscall.ENAMETOOLONG}

	unnameable = []error{syscall.EINVAL, syscall.EILSEQ, syscall.ENAMETOOLONG}
	misplaced  = []error{syscall.ELOOP, syscall.ENOTDIR, syscall.EISDIR}
	lacking    = []error{syscall.EPERM}
	cannotName = []error{syscall.EPERM, syscall.EINVAL, syscall.EMLINK}
)

// SyncNames makes the names in an open directory durable, where the file system can.
func SyncNames(dir *os.File) error {
	err := dir.Sync()
	if isOne(err, syscall.EINVAL, syscall.ENOTSUP) {
		return nil
	}
	return err
}
