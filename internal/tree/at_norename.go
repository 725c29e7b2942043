//go:build freebsd || netbsd || openbsd

package tree

import "errors"

// renameNoReplace is not to be had here: a second name, which is then the only one, does it.
func renameNoReplace(int, string, int, string) error { return errors.ErrUnsupported }
