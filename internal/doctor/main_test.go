package doctor

import (
	"context"
	"errors"
	"net"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when anything is still running after the tests. No test needs a name
// server.
func TestMain(m *testing.M) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("a test asks a name server")
	}}
	goleak.VerifyTestMain(m)
}
