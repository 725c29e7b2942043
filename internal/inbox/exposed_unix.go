//go:build unix

package inbox

import (
	"fmt"
	"io/fs"
)

// alone fails when others than us can exchange files in a folder.
func (d *Dir) alone(info fs.FileInfo) error {
	switch {
	case factsOf(info).owner != d.owner:
		return &FolderError{Path: d.path, Reason: "it belongs to another user"}
	case info.Mode().Perm()&othersWrite&^d.mode != 0:
		return &FolderError{Path: d.path, Reason: fmt.Sprintf("others may write in it (mode %04o)", info.Mode().Perm()), Writable: true}
	}
	return nil
}

// exposure says who else can exchange files in a directory, or nothing. In one
// with the sticky bit, as /tmp, others can make files but not touch ours.
func (d *Dir) exposure(info fs.FileInfo) string {
	perm, owner := info.Mode().Perm(), factsOf(info).owner
	switch {
	case perm&othersWrite&^d.mode != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Sprintf("others may write in it (mode %04o, without the sticky bit)", perm)
	case owner != d.owner && owner != 0: // the superuser can do everything anyway
		return "it belongs to another user"
	}
	return ""
}
