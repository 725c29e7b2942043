//go:build !linux

package main

import "time"

// monotonic is asked for by systemd only, which is nowhere but on Linux.
func monotonic() time.Duration { return 0 }
