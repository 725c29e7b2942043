//go:build !linux && !windows

package main

import "golang.org/x/sys/unix"

// discardInput empties the terminal's input queue.
func discardInput(fd uintptr) error {
	return unix.IoctlSetPointerInt(int(fd), unix.TIOCFLUSH, unix.TCIFLUSH)
}
