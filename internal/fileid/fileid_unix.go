//go:build unix

package fileid

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Of returns the identity of an open file.
func Of(f *os.File, info fs.FileInfo) (ID, error) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ID{}, fmt.Errorf("identity of %s: not known", f.Name())
	}
	id := ID{device: uint64(s.Dev), inode: s.Ino, change: Changed(s).UnixNano()}
	var steady bool
	var err error
	if id.kind, steady, err = kind(f); err != nil {
		return ID{}, fmt.Errorf("identity of %s: %w", f.Name(), err)
	}
	if !steady {
		id.inode = 0
	}
	return id, nil
}
