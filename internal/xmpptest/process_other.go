//go:build !linux

package xmpptest

import "syscall"

// dieWithParent has no equivalent here: a server may outlive a killed test.
func dieWithParent() *syscall.SysProcAttr { return nil }
