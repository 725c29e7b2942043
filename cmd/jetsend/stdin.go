package main

import (
	"os"
	"path/filepath"
	"slices"
)

// stdinArg stands for standard input.
const stdinArg = "-"

// theData is what `send -` reads standard input for.
const theData = "the data to send"

// claim says that path is about to be read for a purpose. Standard input, by
// whatever name, can be read for one only: the other would find nothing, and might
// send or take that.
func (a *app) claim(purpose, path string) error {
	switch {
	case a.stdinFor == purpose || !a.isStdin(path):
		return nil
	case a.stdinFor == "":
		a.stdinFor = purpose
		return nil
	}
	return usagef("%s and %s are both to be read from standard input", a.stdinFor, purpose).
		hint("keep one of them in a file of its own; a password may come from a command (password_command) or the keyring as well")
}

// isStdin reports whether path is standard input by any of its names, or another
// name of what it is connected to.
func (a *app) isStdin(path string) bool {
	if path == stdinArg || slices.Contains([]string{"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, filepath.Clean(path)) {
		return true
	}
	f, ok := a.Stdin.(*os.File)
	if !ok {
		return false
	}
	in, err := f.Stat()
	if err != nil || in.Mode()&os.ModeCharDevice != 0 && !isTerminal(f) {
		return false // /dev/null has nothing that could be taken away
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(in, other)
}
