//go:build linux

package local

import "golang.org/x/sys/unix"

// userAt asks the kernel who is at the other end: SO_PEERCRED, see unix(7).
func userAt(fd int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
