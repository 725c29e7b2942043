// Package fsys knows what file systems say: what an error of one means, and which of them
// have something not.
package fsys

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

func isOne(err error, of ...error) bool {
	return slices.ContainsFunc(of, func(e error) bool { return errors.Is(err, e) })
}

// Full reports whether there is no room, or the user's share of it is used up.
func Full(err error) bool { return isOne(err, syscall.ENOSPC, syscall.EDQUOT) }

// Unnameable reports whether a file system says that it cannot hold a name. It may mean
// something else, which it says again to the next name.
func Unnameable(err error) bool {
	return isOne(err, syscall.EINVAL, syscall.EILSEQ, syscall.ENAMETOOLONG)
}

// Lacking reports whether a file system says that it does not have what is asked of it:
// links, permissions.
func Lacking(err error) bool { return isOne(err, syscall.EPERM, errors.ErrUnsupported) }

// CannotName reports whether a way of changing names is not to be had. Some file systems say
// so with an error that has other causes too; trying the next way is right for those as well,
// since it meets the same cause.
func CannotName(err error) bool {
	return isOne(err, errors.ErrUnsupported, syscall.EPERM, syscall.EINVAL, syscall.EMLINK)
}

// SyncNames makes the names in an open directory durable, where the file system can.
func SyncNames(dir *os.File) error {
	err := dir.Sync()
	if isOne(err, syscall.EINVAL, syscall.ENOTSUP) {
		return nil
	}
	return err
}
