//go:build !linux && !darwin

package inbox

import "io/fs"

func factsOf(fs.FileInfo) facts { return facts{} }
