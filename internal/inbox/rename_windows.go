package inbox

import (
	"os"

	"jetsend/internal/ntfile"
)

// renameNoReplace renames within dir. Both names are base names, and neither is
// followed when it is a link.
func renameNoReplace(dir *os.File, from, to string) error {
	return ntfile.Rename(dir, from, dir, to, false)
}
