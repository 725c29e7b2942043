//go:build !linux

package child

import "syscall"

// dieWithParent has no equivalent here: a child may outlive a killed parent.
func dieWithParent() *syscall.SysProcAttr { return nil }
