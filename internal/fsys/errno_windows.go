package fsys

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// The errors of package syscall among them are those that Go's own library makes.
var (
	full = []error{
		windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED, windows.ERROR_NOT_ENOUGH_QUOTA, syscall.ENOSPC,
	}
	tooLarge = []error{windows.ERROR_FILE_TOO_LARGE, syscall.EFBIG}
	failing  = []error{
		windows.ERROR_IO_DEVICE, windows.ERROR_CRC, windows.ERROR_WRITE_FAULT, windows.ERROR_READ_FAULT, windows.ERROR_NOT_READY, windows.ERROR_TOO_MANY_OPEN_FILES,
		windows.ERROR_NO_SYSTEM_RESOURCES, windows.ERROR_NOT_ENOUGH_MEMORY, windows.ERROR_OUTOFMEMORY, windows.ERROR_WRITE_PROTECT, windows.ERROR_INVALID_HANDLE, syscall.EIO,
	}
	readOnly = []error{windows.ERROR_WRITE_PROTECT}
	tooLong  = []error{windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_BUFFER_OVERFLOW, syscall.ENAMETOOLONG}

	unnameable = []error{
		windows.ERROR_INVALID_NAME, windows.ERROR_FILENAME_EXCED_RANGE, windows.ERROR_INVALID_PARAMETER, windows.ERROR_BAD_PATHNAME, syscall.EINVAL, syscall.ENAMETOOLONG,
	}
	misplaced = []error{windows.ERROR_DIRECTORY, windows.ERROR_CANT_RESOLVE_FILENAME, syscall.ELOOP, syscall.ENOTDIR, syscall.EISDIR}
	lacking   = []error{
		windows.ERROR_PRIVILEGE_NOT_HELD, windows.ERROR_INVALID_FUNCTION, windows.ERROR_INVALID_PARAMETER, windows.ERROR_NOT_SUPPORTED, syscall.EPERM,
	}
	cannotName = []error{
		windows.ERROR_INVALID_FUNCTION, windows.ERROR_INVALID_PARAMETER, windows.ERROR_NOT_SUPPORTED, windows.ERROR_TOO_MANY_LINKS, syscall.EPERM, syscall.EINVAL,
	}
)

// SyncNames would make the names in an open directory durable. There is no call for that:
// the file system keeps a log of them, in their order.
func SyncNames(*os.File) error { return nil }
