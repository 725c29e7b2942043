package inbox

import (
	"syscall"
	"unsafe"
)

// free asks GetDiskFreeSpaceExW, which heeds the quota of the user.
func free(path string) (int64, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW")
	if err := proc.Find(); err != nil {
		return 0, err
	}
	var avail int64
	if ok, _, err := proc.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&avail)), 0, 0); ok == 0 {
		return 0, err
	}
	return avail, nil
}
