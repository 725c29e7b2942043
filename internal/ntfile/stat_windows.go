package ntfile

import (
	"hash/fnv"
	"io/fs"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"jetsend/internal/filename"
)

// Facts are what the system says of something that has a name.
type Facts struct {
	Kind          fs.FileMode // type bits; a junction is irregular
	Perm          fs.FileMode // 0666 of a file, 0444 of one that is only for reading, 0777 of a directory
	Size          int64
	Allocated     int64 // bytes that it takes on the disk
	MTime         time.Time
	Changed       time.Time // last change of content or attributes
	Volume, Index uint64
	Links         uint64
}

// basic is FILE_BASIC_INFO, its times in steps of 100 ns since 1601; of a zero time
// nothing is changed. The system wants its size to be a multiple of 8, also of pointers
// of 4 bytes.
type basic struct {
	born, read, written, changed int64
	attributes                   uint32
	_                            uint32
}

// standard is FILE_STANDARD_INFO: what stands behind is known already.
type standard struct {
	allocated int64
	_         [2]int64
}

// tagged is FILE_ATTRIBUTE_TAG_INFO.
type tagged struct{ _, tag uint32 }

// Stat describes what is open.
func Stat(f *os.File) (Facts, error) {
	is, err := statHandle(windows.Handle(f.Fd()))
	runtime.KeepAlive(f)
	return is, failed("stat", f.Name(), err)
}

// Lstat describes what has a name in a directory.
func Lstat(dir *os.File, name string) (Facts, error) {
	f, err := Open(dir, name, How{Any: true})
	if err != nil {
		return Facts{}, err
	}
	is, err := Stat(f)
	_ = f.Close() // nothing was written
	return is, err
}

func statHandle(h windows.Handle) (Facts, error) {
	var i windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &i); err != nil {
		return Facts{}, err
	}
	var b basic
	if err := query(h, windows.FileBasicInfo, &b); err != nil {
		return Facts{}, err
	}
	var s standard
	if err := query(h, windows.FileStandardInfo, &s); err != nil {
		return Facts{}, err
	}
	is := Facts{
		Perm: 0o666, Size: int64(i.FileSizeHigh)<<32 | int64(i.FileSizeLow), Allocated: s.allocated,
		MTime: at(b.written), Changed: at(b.changed),
		Volume: uint64(i.VolumeSerialNumber), Index: uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow), Links: uint64(i.NumberOfLinks),
	}
	if i.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		is.Perm = 0o444
	}
	if i.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		is.Kind, is.Perm = fs.ModeDir, fs.ModePerm
	}
	if i.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return is, is.reparsed(h)
	}
	return is, nil
}

// reparsed sets the kind of what is, or is not, a link: of the other tags, most are of files
// that are not wholly on the disk.
func (is *Facts) reparsed(h windows.Handle) error {
	var t tagged
	if err := query(h, windows.FileAttributeTagInfo, &t); err != nil {
		return err
	}
	switch t.tag {
	case windows.IO_REPARSE_TAG_SYMLINK:
		is.Kind, is.Perm = fs.ModeSymlink, fs.ModePerm
	case windows.IO_REPARSE_TAG_MOUNT_POINT:
		is.Kind = fs.ModeIrregular
	}
	return nil
}

func query[T any](h windows.Handle, class uint32, into *T) error {
	return windows.GetFileInformationByHandleEx(h, class, (*byte)(unsafe.Pointer(into)), uint32(unsafe.Sizeof(*into)))
}

// epoch is 1970 in steps of 100 ns since 1601.
const epoch = 116444736000000000

// step is that of the times.
const step = 100

func at(t int64) time.Time {
	if t == 0 {
		return time.Time{}
	}
	const second = int64(time.Second / step)
	t -= epoch
	return time.Unix(t/second, t%second*step)
}

// stepsOf is a time in steps of 100 ns since 1601, at least one.
func stepsOf(t time.Time) int64 {
	const second = int64(time.Second / step)
	return max(t.Unix()*second+int64(t.Nanosecond())/step+epoch, 1)
}

func attributes(h windows.Handle, a uint32) error {
	b := basic{attributes: a}
	return windows.SetFileInformationByHandle(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&b)), uint32(unsafe.Sizeof(b)))
}

// SetTime sets the time of the last change of something open, be it for reading only.
func SetTime(f *os.File, mtime time.Time) error {
	b := basic{written: stepsOf(mtime)}
	h, err := create(f, "", change, windows.FILE_OPEN, options)
	if err == nil {
		err = windows.SetFileInformationByHandle(h, windows.FileBasicInfo, (*byte)(unsafe.Pointer(&b)), uint32(unsafe.Sizeof(b)))
		_ = windows.CloseHandle(h) // what was to be written is
	}
	return failed("set the time", f.Name(), err)
}

// Owner is a number of the user who owns something open, and none when nobody may know:
// the same for the same user, as nobody can choose the one of another.
func Owner(f *os.File) uint32 {
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	runtime.KeepAlive(f)
	if err != nil {
		return 0
	}
	sid, _, err := sd.Owner()
	if err != nil || sid == nil {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(sid.String())) // never fails
	return h.Sum32()
}

// Free is how many bytes the user can still write where a directory is.
func Free(path string) (int64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, failed("free space", path, err)
	}
	return int64(min(free, 1<<62)), nil
}

func valid(name string) bool { return filename.OnWindows(name) }
