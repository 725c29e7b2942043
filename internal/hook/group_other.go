//go:build !unix

package hook

import "os/exec"

// apart does nothing: there are no process groups.
func apart(*exec.Cmd) {}

// sweep does nothing either.
func sweep(*exec.Cmd) {}
