//go:build unix

package s5b

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// canPunch: one port can listen and dial here.
const canPunch = true

// reuse lets several sockets of ours have one port: those that dial from the port of a
// punch, and that which listens there.
func reuse(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		)
	}), err)
}
