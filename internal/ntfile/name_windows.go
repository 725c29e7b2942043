package ntfile

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	fileLinkInformation     = 11
	fileRenameInformationEx = 65
)

// naming is FILE_RENAME_INFORMATION and FILE_LINK_INFORMATION: the flag that replaces is
// the boolean of the older form.
type naming struct {
	flags  uint32
	dir    windows.Handle
	length uint32 // of the name, in bytes
	name   [256]uint16
}

func (n *naming) set(h windows.Handle, class uint32) error {
	return meaning(windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, (*byte)(unsafe.Pointer(n)), uint32(unsafe.Sizeof(*n)), class))
}

// target is a name in another directory.
func target(dir *os.File, name string) (*naming, error) {
	u, err := windows.UTF16FromString(name)
	n := &naming{dir: windows.Handle(dir.Fd()), length: uint32(2 * (len(u) - 1))}
	if err != nil || len(u) > len(n.name) {
		return nil, windows.ERROR_FILENAME_EXCED_RANGE
	}
	copy(n.name[:], u)
	return n, nil
}

// Rename gives what has a name another one, in the same file system. Unless it replaces,
// the error is fs.ErrExist when that is taken.
func Rename(dir *os.File, from string, into *os.File, to string, replaces bool) error {
	h, err := open(dir, from, windows.DELETE|windows.SYNCHRONIZE, windows.FILE_OPEN, options)
	if err != nil {
		return failed("rename", from, err)
	}
	defer func() { _ = windows.CloseHandle(h) }() // nothing was written
	return failed("rename", to, rename(h, into, to, replaces))
}

func rename(h windows.Handle, into *os.File, to string, replaces bool) error {
	n, err := nameable(into, to)
	if err != nil {
		return err
	}
	n.flags = windows.FILE_RENAME_POSIX_SEMANTICS | windows.FILE_RENAME_IGNORE_READONLY_ATTRIBUTE
	if replaces {
		n.flags |= windows.FILE_RENAME_REPLACE_IF_EXISTS
	}
	err = n.set(h, fileRenameInformationEx)
	if err != nil && !errors.Is(err, os.ErrExist) { // FAT, and systems before 2018, do not know all of that
		n.flags &= windows.FILE_RENAME_REPLACE_IF_EXISTS
		err = n.set(h, windows.FileRenameInformation)
	}
	runtime.KeepAlive(into)
	return err
}

func nameable(dir *os.File, name string) (*naming, error) {
	n, err := target(dir, name)
	if err == nil && !valid(name) {
		err = windows.ERROR_INVALID_NAME
	}
	return n, err
}

// Link gives a file a second name. The error is fs.ErrExist when that is taken.
func Link(dir *os.File, from string, into *os.File, to string) error {
	h, err := open(dir, from, change, windows.FILE_OPEN, options)
	if err != nil {
		return failed("link", from, err)
	}
	defer func() { _ = windows.CloseHandle(h) }() // nothing was written
	n, err := nameable(into, to)
	if err == nil {
		err = n.set(h, fileLinkInformation)
	}
	runtime.KeepAlive(into)
	return failed("link", to, err)
}

// The flags of FILE_DISPOSITION_INFORMATION_EX: as on Unix, a name is gone at once, and what
// is only for reading can be removed.
const disposeNow = 0x1 | 0x2 | 0x10 // delete, POSIX semantics, ignore the read-only attribute

// Remove removes a name: a directory's, which is empty, or that of something else.
func Remove(dir *os.File, name string, isDir bool) error {
	opt := uint32(options)
	if isDir {
		opt |= windows.FILE_DIRECTORY_FILE
	}
	h, err := open(dir, name, windows.DELETE|look|change, windows.FILE_OPEN, opt)
	if err != nil {
		return failed("remove", name, err)
	}
	defer func() { _ = windows.CloseHandle(h) }() // nothing was written
	is, err := statHandle(h)
	if err == nil && is.Kind.IsDir() != isDir {
		err = syscall.EISDIR
		if isDir {
			err = syscall.ENOTDIR
		}
	}
	if err == nil {
		err = dispose(h)
	}
	return failed("remove", name, err)
}

func dispose(h windows.Handle) error {
	flags := uint32(disposeNow)
	err := windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, (*byte)(unsafe.Pointer(&flags)), uint32(unsafe.Sizeof(flags)), windows.FileDispositionInformationEx)
	if err == nil || errors.Is(err, windows.STATUS_DIRECTORY_NOT_EMPTY) {
		return meaning(err)
	}
	if err := attributes(h, windows.FILE_ATTRIBUTE_NORMAL); err != nil {
		return err
	}
	yes := byte(1)
	return meaning(windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, &yes, 1, windows.FileDispositionInformation))
}
