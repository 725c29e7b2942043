//go:build linux

package local

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer asks the kernel who is at the other end: SO_PEERCRED, see unix(7).
func checkPeer(conn *net.UnixConn) error {
	uid, err := peerID(conn, func(fd int) (uint32, error) {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return 0, err
		}
		return cred.Uid, nil
	})
	if err != nil {
		return err
	}
	return ours(uid, os.Geteuid())
}
