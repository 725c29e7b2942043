//go:build unix

package state

import "os"

// openLock opens or makes the file of a lock.
func openLock(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
