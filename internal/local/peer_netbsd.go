//go:build netbsd

package local

import "golang.org/x/sys/unix"

// Of sys/un.h.
const (
	solLocal    = 0
	localPeerID = 3 // LOCAL_PEEREID
)

// userAt asks the kernel who is at the other end: LOCAL_PEEREID, see unix(4). Its
// struct unpcbid is three words: pid, effective uid, effective gid. That of the call that
// is borrowed here, for there is none of its own, is eight.
func userAt(fd int) (uint32, error) {
	words, err := unix.GetsockoptICMPv6Filter(fd, solLocal, localPeerID)
	if err != nil {
		return 0, err
	}
	return words.Filt[1], nil
}
