package ntfile

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// reparse is REPARSE_DATA_BUFFER of a symbolic link, before its names.
type reparse struct {
	tag              uint32
	length, reserved uint16
	from, size       uint16 // of the name that counts, in bytes
	shownFrom, shown uint16 // of the one for people
	flags            uint32 // 1: relative
}

const maxReparse = 16 << 10 // MAXIMUM_REPARSE_DATA_BUFFER_SIZE

// Readlink is the target of a link, with slashes.
func Readlink(dir *os.File, name string) (string, error) {
	f, err := Open(dir, name, How{Any: true})
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	b := make([]byte, maxReparse)
	var n uint32
	err = windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_GET_REPARSE_POINT, nil, 0, &b[0], uint32(len(b)), &n, nil)
	runtime.KeepAlive(f)
	if err != nil {
		return "", failed("readlink", name, err)
	}
	r := (*reparse)(unsafe.Pointer(&b[0]))
	begin := int(unsafe.Sizeof(*r)) + int(r.from)
	if r.tag != windows.IO_REPARSE_TAG_SYMLINK || begin+int(r.size) > int(n) {
		return "", failed("readlink", name, windows.ERROR_INVALID_REPARSE_DATA)
	}
	u := make([]uint16, r.size/2)
	for i := range u {
		u[i] = uint16(b[begin+2*i]) | uint16(b[begin+2*i+1])<<8
	}
	return strings.ReplaceAll(windows.UTF16ToString(u), `\`, "/"), nil
}

// Symlink makes a link in a directory, which the system allows to administrators and to
// developers.
func Symlink(target string, dir *os.File, name string) error {
	if !valid(name) {
		return failed("symlink", name, windows.ERROR_INVALID_NAME)
	}
	root, err := os.OpenRoot(dir.Name())
	if err != nil {
		return err
	}
	is, err := root.Stat(".")
	own, oerr := dir.Stat()
	if err = errors.Join(err, oerr); err == nil && !os.SameFile(is, own) {
		err = failed("symlink", name, windows.ERROR_DIRECTORY)
	}
	if err == nil {
		err = root.Symlink(target, name)
	}
	return errors.Join(err, root.Close())
}
