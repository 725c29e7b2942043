//go:build !linux

package inbox

import (
	"errors"
	"io/fs"
	"os"
)

// nameless says that there are no files without a name here.
func nameless(*os.Root, fs.FileMode) (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
