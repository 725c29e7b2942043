//go:build linux || darwin || freebsd || openbsd || netbsd

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
)

// peerID asks about a connection.
func peerID(conn *net.UnixConn, ask func(fd int) (uint32, error)) (uid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var id uint32
	var asked error
	err = raw.Control(func(fd uintptr) { id, asked = ask(int(fd)) })
	if err = errors.Join(err, asked); err != nil {
		return 0, fmt.Errorf("who is at the other end: %w", err)
	}
	return int(id), nil
}

// leftBehind reports whether a file is a socket.
func leftBehind(info fs.FileInfo) bool { return info.Mode()&fs.ModeSocket != 0 }
