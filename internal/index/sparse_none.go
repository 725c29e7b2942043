//go:build netbsd || openbsd || windows

package index

import (
	"os"

	"jetsend/internal/set"
)

// extents says that all of a file is data: its holes are sent as the zeros that they are.
func extents(*os.File, int64) (x []set.Extent, ok bool) { return nil, false }

// Sparse reports whether a file may have holes that are sent as such.
func Sparse(string) bool { return false }
