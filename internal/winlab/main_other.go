//go:build !linux

// Command winlab needs Linux.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "winlab: skipped: it needs Wine on Linux")
}
