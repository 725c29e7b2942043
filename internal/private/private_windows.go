package private

import (
	"fmt"
	"os"

	"jetsend/internal/acl"
)

// Close takes all permissions of others from a file or directory of ours.
func Close(path string) error {
	who, err := acl.Others(path, acl.Read|acl.Change)
	if err != nil || who == "" {
		return err
	}
	return acl.Close(path)
}

// CloseFile is [Close] for a file that is open.
func CloseFile(f *os.File) error { return Close(f.Name()) }

// CloseMade is for what has just been made, and has got what its directory gives.
func CloseMade(path string) error { return Close(path) }

// CloseToWriters keeps others from putting a file of theirs in the place of one
// in dir.
func CloseToWriters(dir string) error {
	who, err := acl.Others(dir, acl.ChangeDir)
	if err == nil && who != "" {
		err = acl.Close(dir)
	}
	if err != nil {
		return fmt.Errorf("others may write in %s: %w", dir, err)
	}
	return nil
}

// Open says how a file is open to others, and nothing when it is not.
func Open(path string) (how string, err error) {
	who, err := acl.Others(path, acl.Read|acl.Change)
	if err != nil || who == "" {
		return "", err
	}
	return "open to " + who, nil
}

// Fix is the command that closes a file, whose path is quoted.
func Fix(path string) string { return acl.Fix(path) }
