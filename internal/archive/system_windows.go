package archive

import (
	"io/fs"
	"os"

	"jetsend/internal/filename"
)

// owner would be the user id of a file. Who may exchange what is unpacked is said by the
// access control list of the download directory alone.
func owner(fs.FileInfo) uint32 { return 0 }

// nameable reports whether something can have a name: a colon would begin another stream
// of a file.
func nameable(name string) bool { return filename.OnWindows(name) }

// open opens a file that was a regular one a moment ago.
func open(root *os.Root, name string) (*os.File, error) { return root.Open(name) }
