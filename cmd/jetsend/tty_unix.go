//go:build !windows

package main

// ttyName is the controlling terminal.
const ttyName = "/dev/tty"
