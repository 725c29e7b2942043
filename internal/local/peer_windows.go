//go:build windows

package local

import (
	"io/fs"
	"net"
)

// checkPeer knows nothing of the other end: Windows does not say whose it is. There it is
// the access list of the directory that keeps others out, see package private.
func checkPeer(*net.UnixConn) error { return nil }

// leftBehind reports whether a file is a socket: a reparse point that is of no kind that Go
// knows.
func leftBehind(info fs.FileInfo) bool { return info.Mode()&(fs.ModeSocket|fs.ModeIrregular) != 0 }
