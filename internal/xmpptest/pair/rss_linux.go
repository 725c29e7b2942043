package pair

import (
	"os"
	"syscall"
)

// maxRSS returns the peak memory of a process that is gone, in bytes. The kernel
// counts from the fork on, so it is never less than what this process had then:
// a process that measures stays small.
func maxRSS(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return int64(u.Maxrss) << 10 // getrusage(2): kilobytes
}
