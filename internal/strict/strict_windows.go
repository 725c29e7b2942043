package strict

import (
	"os"

	"jetsend/internal/acl"
	"jetsend/internal/clean"
)

// check looks at the owner and the access control list. Who may put a file into the
// directory of a program gives it a library to load.
func check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	name := clean.Argument(clean.Text(path))
	who, err := acl.Owner(path)
	if err != nil {
		return err
	}
	if who != "" {
		return &Error{Path: path, Reason: "belongs to another user (" + clean.Text(who) + ")", Fix: "run `icacls " + name + " /setowner %USERNAME%`"}
	}
	rights := acl.Change
	if info.IsDir() {
		rights = acl.ChangeDir
	}
	if who, err = acl.Others(path, rights); err != nil || who == "" {
		return err
	}
	return &Error{Path: path, Reason: "can be changed by " + clean.Text(who), Fix: "run `" + acl.Fix(name) + "`"}
}
