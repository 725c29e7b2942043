//go:build !unix

package s5b

import (
	"errors"
	"syscall"
)

// canPunch: nobody has tried whether one port can listen and dial here.
const canPunch = false

func reuse(_, _ string, _ syscall.RawConn) error { return errors.ErrUnsupported }
