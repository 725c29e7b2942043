//go:build unix

package inbox

import (
	"io/fs"
	"syscall"

	"jetsend/internal/fileid"
)

// block is the unit of st_blocks, whatever the blocks of the file system are.
const block = 512

func factsOf(info fs.FileInfo) facts {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return facts{}
	}
	return facts{owner: s.Uid, links: uint64(s.Nlink), allocated: s.Blocks * block, changed: fileid.Changed(s)}
}
