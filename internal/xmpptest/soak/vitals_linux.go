package main

import (
	"fmt"
	"os"
	"strings"
)

// look reads what a process uses from proc(5).
func look(pid int) vitals {
	v := vitals{-1, -1, -1}
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		v.fds = len(entries)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return v // it has just ended
	}
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, ":")
		var n int64
		if _, err := fmt.Sscan(value, &n); err != nil {
			continue
		}
		switch key {
		case "VmRSS":
			v.rss = n << 10 // kilobytes
		case "Threads":
			v.threads = int(n)
		}
	}
	return v
}
