//go:build unix

package strict

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"jetsend/internal/clean"
)

// othersWrite are the permissions that let others change a file, or what is in a
// directory.
const othersWrite fs.FileMode = 0o022

func check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	me := os.Geteuid()
	name := clean.Argument(clean.Text(path))
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int(s.Uid) != me {
		return &Error{
			Path: path, Reason: "belongs to another user (number " + strconv.Itoa(int(s.Uid)) + ")",
			Fix: "run `sudo chown " + strconv.Itoa(me) + " " + name + "`",
		}
	}
	mode := info.Mode()
	if mode.Perm()&othersWrite != 0 && (!mode.IsDir() || mode&fs.ModeSticky == 0) {
		return &Error{Path: path, Reason: fmt.Sprintf("can be changed by others (mode %04o)", mode.Perm()), Fix: "run `chmod go-w " + name + "`"}
	}
	return nil
}
