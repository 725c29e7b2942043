//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "natlab: skipped: it needs the network namespaces of Linux")
}
