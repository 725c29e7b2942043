package source

import (
	"os"

	"jetsend/internal/ntfile"
)

// openNamed opens what a user names, be it through a link.
func openNamed(path string) (*os.File, error) { return os.Open(path) }

// openAsIs opens what has a path, if it is no link.
func openAsIs(path string) (*os.File, error) {
	return ntfile.OpenFile(path, os.O_RDONLY)
}
