package inbox

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// noReplace is RENAME_NOREPLACE of renameat2(2).
const noReplace = 1

// renameat2 returns the number of the call, or 0 where it is not known: package
// syscall is frozen and has it for some architectures only.
func renameat2() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 316
	case "386":
		return 353
	case "arm":
		return 382
	case "arm64", "riscv64", "loong64":
		return 276
	case "ppc64", "ppc64le":
		return 357
	case "s390x":
		return 347
	}
	return 0
}

// renameNoReplace renames within dir. Both names are base names, and neither is
// followed when it is a link.
func renameNoReplace(dir *os.File, from, to string) error {
	call := renameat2()
	if call == 0 {
		return syscall.ENOSYS
	}
	old, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	final, err := syscall.BytePtrFromString(to)
	if err != nil {
		return err
	}
	fd := dir.Fd()
	errno := syscall.EINTR
	for errno == syscall.EINTR {
		_, _, errno = syscall.Syscall6(call, fd, uintptr(unsafe.Pointer(old)), fd, uintptr(unsafe.Pointer(final)), noReplace, 0)
	}
	runtime.KeepAlive(dir)
	if errno != 0 {
		return &os.LinkError{Op: "renameat2", Old: from, New: to, Err: errno}
	}
	return nil
}
