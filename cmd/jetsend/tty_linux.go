package main

import "golang.org/x/sys/unix"

// discardInput empties the terminal's input queue.
func discardInput(fd uintptr) error { return unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCIFLUSH) }
