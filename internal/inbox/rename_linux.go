package inbox

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames within dir. Both names are base names, and neither is
// followed when it is a link.
func renameNoReplace(dir *os.File, from, to string) error {
	fd := int(dir.Fd())
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	}
	runtime.KeepAlive(dir)
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: err}
	}
	return nil
}
