//go:build darwin || freebsd

package local

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer asks the kernel who is at the other end: LOCAL_PEERCRED, see unix(4).
func checkPeer(conn *net.UnixConn) error {
	uid, err := peerID(conn, func(fd int) (uint32, error) {
		cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
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
