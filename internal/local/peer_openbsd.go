//go:build openbsd

package local

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer asks the kernel who is at the other end: SO_PEERCRED, see getsockopt(2). Its
// struct sockpeercred is three words: uid, gid, pid. That of the call that is borrowed
// here, for there is none of its own, is eight.
func checkPeer(conn *net.UnixConn) error {
	uid, err := peerID(conn, func(fd int) (uint32, error) {
		words, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return 0, err
		}
		return words.Filt[0], nil
	})
	if err != nil {
		return err
	}
	return ours(uid, os.Geteuid())
}
