package transfer

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// lookups counts what was asked of a name server. No test needs one.
var lookups atomic.Int32

// TestMain fails when anything is still running after the tests: every
// goroutine of an endpoint ends with it.
func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		lookups.Add(1)
		return nil, errors.New("a test asks a name server")
	}}
	goleak.VerifyTestMain(m)
}
