//go:build darwin || freebsd

package local

import "golang.org/x/sys/unix"

// userAt asks the kernel who is at the other end: LOCAL_PEERCRED, see unix(4).
func userAt(fd int) (uint32, error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
