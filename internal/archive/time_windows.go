package archive

import (
	"os"
	"time"

	"jetsend/internal/ntfile"
)

// SetTime sets the time of the last change of an open file or directory. Its
// name could mean something else in the next moment.
func SetTime(f *os.File, mtime time.Time) error { return ntfile.SetTime(f, mtime) }
