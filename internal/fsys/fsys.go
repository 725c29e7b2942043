// Package fsys knows what file systems say: what an error of one means, and which of them
// have something not.
package fsys

import (
	"errors"
	"os"
	"slices"
)

// SyncDir makes the names in a directory durable, where the file system can.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(SyncNames(d), d.Close())
}

func isOne(err error, of ...error) bool {
	return slices.ContainsFunc(of, func(e error) bool { return errors.Is(err, e) })
}

// Full reports whether there is no room, or the user's share of it is used up.
func Full(err error) bool { return isOne(err, full...) }

// TooLarge reports whether the file system, or a limit of the process, takes no file of
// that size.
func TooLarge(err error) bool { return isOne(err, tooLarge...) }

// Failing reports whether an error is none of the one file that it was met at: the disk is
// full, failing, or only for reading, or the process has no more of something.
func Failing(err error) bool { return Full(err) || isOne(err, failing...) }

// ReadOnly reports whether a file system is one that nobody may write to.
func ReadOnly(err error) bool { return isOne(err, readOnly...) }

// Unnameable reports whether a file system says that it cannot hold a name. It may mean
// something else, which it says again to the next name.
func Unnameable(err error) bool { return isOne(err, unnameable...) }

// TooLong reports whether a name, or the target of a link, is longer than the file system
// takes.
func TooLong(err error) bool { return isOne(err, tooLong...) }

// Misplaced reports whether something is not of the kind that it was opened as: a file
// where a directory was, or a link.
func Misplaced(err error) bool { return isOne(err, misplaced...) }

// Lacking reports whether a file system says that it does not have what is asked of it:
// links, permissions.
func Lacking(err error) bool { return isOne(err, lacking...) || errors.Is(err, errors.ErrUnsupported) }

// CannotName reports whether a way of changing names is not to be had. Some file systems say
// so with an error that has other causes too; trying the next way is right for those as well,
// since it meets the same cause.
func CannotName(err error) bool {
	return isOne(err, cannotName...) || errors.Is(err, errors.ErrUnsupported)
}
