package main

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"jetsend/internal/machine"
)

// filesystemVariable is the environment variable that, as "fat", has the program meet a file
// system like FAT wherever it makes names: one without links, without some names, and with
// others that are the same to it. A real one takes a kernel that has it, and root.
const filesystemVariable = "JETSEND_TEST_FILESYSTEM"

func likeFAT(s machine.Step) error {
	if s.Op != machine.Create && s.Op != machine.Rename && s.Op != machine.Replace {
		return nil
	}
	dir, name := filepath.Split(cmp.Or(s.To, s.Path))
	if !utf8.ValidString(name) || strings.ContainsAny(name, `\:*?"<>|`) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimRight(name, ". ") != name {
		return syscall.EINVAL
	}
	if info, err := os.Lstat(s.Path); s.To != "" && err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return syscall.EPERM
	}
	others, err := os.ReadDir(dir)
	if err != nil || s.Op == machine.Replace {
		return nil //nolint:nilerr // the step meets that itself
	}
	for _, o := range others {
		if strings.EqualFold(o.Name(), name) {
			return syscall.EEXIST
		}
	}
	return nil
}
