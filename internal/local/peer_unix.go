//go:build linux || darwin || freebsd || openbsd || netbsd

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// checkPeer asks the kernel who is at the other end.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var id uint32
	var asked error
	err = raw.Control(func(fd uintptr) { id, asked = userAt(int(fd)) })
	if err = errors.Join(err, asked); err != nil {
		return fmt.Errorf("who is at the other end: %w", err)
	}
	return ours(int(id), os.Geteuid())
}

// leftBehind reports whether a file is a socket.
func leftBehind(info fs.FileInfo) bool { return info.Mode()&fs.ModeSocket != 0 }
