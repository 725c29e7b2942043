//go:build unix

package archive

import "golang.org/x/sys/unix"

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

func setUmask(mask int) int { return unix.Umask(mask) }
