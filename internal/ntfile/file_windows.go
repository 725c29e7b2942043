package ntfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// OpenFile opens a file by its path, with the flags of package os, and follows no link. What
// is open can get another name, or none, which it could not if package os had opened it.
func OpenFile(path string, flags int) (*os.File, error) {
	d, err := OpenPath(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := openOrMake(d, filepath.Base(path), flags)
	if err == nil && flags&os.O_TRUNC != 0 {
		err = f.Truncate(0)
	}
	return f, errors.Join(err, d.Close())
}

func openOrMake(d *os.File, name string, flags int) (*os.File, error) {
	how := How{Write: flags&(os.O_WRONLY|os.O_RDWR) != 0}
	f, err := Open(d, name, how)
	if flags&os.O_CREATE == 0 || !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
		return f, err
	}
	how.Create = true
	if f, err = Open(d, name, how); errors.Is(err, fs.ErrExist) { // somebody was faster
		how.Create = false
		return Open(d, name, how)
	}
	return f, err
}
