package fileid

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/windows"

	"jetsend/internal/ntfile"
)

// Of returns the identity of an open file.
func Of(f *os.File, _ fs.FileInfo) (ID, error) {
	is, err := ntfile.Stat(f)
	if err != nil {
		return ID{}, fmt.Errorf("identity of %s: %w", f.Name(), err)
	}
	id := ID{device: is.Volume, inode: is.Index, change: is.Changed.UnixNano()}
	var steady bool
	if id.kind, steady, err = kind(f); err != nil {
		return ID{}, fmt.Errorf("identity of %s: %w", f.Name(), err)
	}
	if !steady {
		id.inode = 0
	}
	return id, nil
}

// known are the file systems that number their files for good. FAT counts where they are,
// and a server may count as it likes.
func known(name string) bool { return slices.Contains([]string{"NTFS", "ReFS"}, name) }

func kind(f *os.File) (magic uint64, steady bool, err error) {
	var name [windows.MAX_PATH + 1]uint16
	err = windows.GetVolumeInformationByHandle(windows.Handle(f.Fd()), nil, 0, nil, nil, nil, &name[0], uint32(len(name)))
	runtime.KeepAlive(f)
	if err != nil {
		return 0, false, err
	}
	system := windows.UTF16ToString(name[:])
	h := fnv.New64a()
	_, _ = h.Write([]byte(system)) // never fails
	return h.Sum64(), known(system), nil
}
