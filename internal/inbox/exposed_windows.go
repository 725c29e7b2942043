package inbox

import (
	"io/fs"

	"jetsend/internal/acl"
)

// alone fails when others than us can exchange files in a folder.
func (d *Dir) alone(info fs.FileInfo) error {
	if reason := d.exposure(info); reason != "" {
		return &FolderError{Path: d.path, Reason: reason, Writable: true}
	}
	return nil
}

// exposure says who else can exchange files in a directory, or nothing. It is said of its
// path: what is open has no list of its own to be asked for by package os.
func (d *Dir) exposure(fs.FileInfo) string {
	who, err := acl.Owner(d.path)
	if err == nil && who != "" {
		return "it belongs to another user"
	}
	if err == nil {
		who, err = acl.Others(d.path, acl.ChangeDir)
	}
	switch {
	case err != nil:
		return err.Error()
	case who != "":
		return who + " may write in it"
	}
	return ""
}
