package ntfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"jetsend/internal/filename"
)

// How says what a name is opened for.
type How struct {
	Write  bool // the content
	Attrs  bool // times and attributes, where that is allowed
	Create bool // it must not have been there
	Dir    bool // it is a directory
	Any    bool // whatever it is, to look at it
	Brief  bool // it is gone when it is closed
}

const (
	share   = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	options = windows.FILE_OPEN_REPARSE_POINT | windows.FILE_OPEN_FOR_BACKUP_INTENT | windows.FILE_SYNCHRONOUS_IO_NONALERT
	look    = windows.FILE_READ_ATTRIBUTES | windows.SYNCHRONIZE
	change  = windows.FILE_WRITE_ATTRIBUTES
)

// OpenPath opens a directory by its path, through whatever links that has.
func OpenPath(path string) (*os.File, error) {
	p, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return nil, failed("open", path, windows.ERROR_INVALID_NAME)
	}
	access := uint32(windows.FILE_GENERIC_READ | change)
	for {
		h, err := windows.CreateFile(p, access, share, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
		if errors.Is(err, windows.ERROR_ACCESS_DENIED) && access&change != 0 {
			access &^= change
			continue
		}
		if err != nil {
			return nil, failed("open", path, err)
		}
		f := os.NewFile(uintptr(h), path)
		if is, err := Stat(f); err != nil || !is.Kind.IsDir() {
			return nil, errors.Join(failed("open", path, syscall.ENOTDIR), err, f.Close())
		}
		return f, nil
	}
}

// long is a path that may be longer than MAX_PATH.
func long(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil || len(abs) < windows.MAX_PATH-12 || abs[0] == '\\' {
		return path
	}
	return `\\?\` + abs
}

// Open opens a name in a directory.
func Open(dir *os.File, name string, how How) (*os.File, error) {
	access, opt, disposition := uint32(look), uint32(options), uint32(windows.FILE_OPEN)
	switch {
	case how.Dir:
		access |= windows.FILE_GENERIC_READ
		opt |= windows.FILE_DIRECTORY_FILE
	case how.Any:
		access |= windows.READ_CONTROL
	default:
		access |= windows.FILE_GENERIC_READ
		opt |= windows.FILE_NON_DIRECTORY_FILE
	}
	if how.Write {
		access |= windows.FILE_GENERIC_WRITE
	}
	if how.Create {
		disposition = windows.FILE_CREATE
	}
	if how.Attrs {
		access |= change
	}
	if how.Brief {
		access |= windows.DELETE
		opt |= windows.FILE_DELETE_ON_CLOSE
	}
	h, err := open(dir, name, access, disposition, opt)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) && (how.Attrs && !how.Write || how.Any) {
		h, err = open(dir, name, access&^(change|windows.READ_CONTROL)|look, disposition, opt)
	}
	if err != nil {
		return nil, failed("open", name, err)
	}
	f := os.NewFile(uintptr(h), filepath.Join(dir.Name(), name))
	if how.Any || how.Create {
		return f, nil
	}
	// A link is opened as such. What is no link is what was asked for.
	is, err := Stat(f)
	if err == nil && is.Kind&fs.ModeSymlink != 0 {
		err = failed("open", name, syscall.ELOOP)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Again opens an open directory once more, to be read from its start.
func Again(dir *os.File) (*os.File, error) {
	h, err := create(dir, "", windows.FILE_GENERIC_READ, windows.FILE_OPEN, windows.FILE_DIRECTORY_FILE|options)
	if err != nil {
		return nil, failed("open", dir.Name(), err)
	}
	return os.NewFile(uintptr(h), dir.Name()), nil
}

// Mkdir makes a directory.
func Mkdir(dir *os.File, name string) error {
	h, err := open(dir, name, look, windows.FILE_CREATE, windows.FILE_DIRECTORY_FILE|options)
	if err == nil {
		err = windows.CloseHandle(h)
	}
	return failed("mkdir", name, err)
}

// open opens a name that is one on Windows.
func open(dir *os.File, name string, access, disposition, opt uint32) (windows.Handle, error) {
	if !filename.OnWindows(name) {
		return windows.InvalidHandle, windows.ERROR_INVALID_NAME
	}
	return create(dir, name, access, disposition, opt)
}

func create(dir *os.File, name string, access, disposition, opt uint32) (windows.Handle, error) {
	s, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return windows.InvalidHandle, windows.ERROR_INVALID_NAME
	}
	oa := &windows.OBJECT_ATTRIBUTES{RootDirectory: windows.Handle(dir.Fd()), ObjectName: s, Attributes: windows.OBJ_CASE_INSENSITIVE}
	oa.Length = uint32(unsafe.Sizeof(*oa))
	var h windows.Handle
	err = windows.NtCreateFile(&h, access|windows.SYNCHRONIZE, oa, &windows.IO_STATUS_BLOCK{}, nil, windows.FILE_ATTRIBUTE_NORMAL, share, disposition, opt, 0, 0)
	runtime.KeepAlive(dir)
	return h, meaning(err)
}

// meaning is the error of an NTSTATUS.
func meaning(err error) error {
	var s windows.NTStatus
	if !errors.As(err, &s) {
		return err
	}
	switch s {
	case windows.STATUS_NOT_A_DIRECTORY:
		return syscall.ENOTDIR
	case windows.STATUS_FILE_IS_A_DIRECTORY:
		return syscall.EISDIR
	case windows.STATUS_DELETE_PENDING: // its last name is gone, and somebody has it open
		return windows.ERROR_ACCESS_DENIED
	}
	return s.Errno()
}

func failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
