//go:build openbsd

package local

import "golang.org/x/sys/unix"

// userAt asks the kernel who is at the other end: SO_PEERCRED, see getsockopt(2). Its
// struct sockpeercred is three words: uid, gid, pid. That of the call that is borrowed
// here, for there is none of its own, is eight.
func userAt(fd int) (uint32, error) {
	words, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return words.Filt[0], nil
}
