package spool

import (
	"os"

	"jetsend/internal/ntfile"
)

// openAsIs opens a file for reading, and follows no link. It can be removed meanwhile.
func openAsIs(path string) (*os.File, error) {
	return ntfile.OpenFile(path, os.O_RDONLY)
}
