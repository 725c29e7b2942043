//go:build unix

package private

import (
	"fmt"
	"io/fs"
	"os"
)

const (
	others      fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

// Close takes all permissions of others from a file or directory of ours.
func Close(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&others != 0 {
		err = os.Chmod(path, info.Mode().Perm()&^others)
	}
	return err
}

// CloseFile is [Close] for a file that is open.
func CloseFile(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&others != 0 {
		err = f.Chmod(info.Mode().Perm() &^ others)
	}
	return err
}

// CloseMade is for what has just been made with a mode that keeps others out.
func CloseMade(string) error { return nil }

// CloseToWriters keeps others from putting a file of theirs in the place of one
// in dir. It may stay one that others can look into: a file system that the user
// has chosen with --state-dir, with other things in it.
func CloseToWriters(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&othersWrite == 0 || info.Mode()&fs.ModeSticky != 0 {
		return err
	}
	if err := os.Chmod(dir, info.Mode().Perm()&^othersWrite); err != nil {
		return fmt.Errorf("others may write in %s: %w", dir, err)
	}
	return nil
}

// Open says how a file is open to others, and nothing when it is not.
func Open(path string) (how string, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&others == 0 {
		return "", err
	}
	return fmt.Sprintf("open to others (mode %04o)", info.Mode().Perm()), nil
}

// Fix is the command that closes a file, whose path is quoted.
func Fix(path string) string { return "chmod 600 " + path }
