package transfer

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when anything is still running after the tests: every
// goroutine of an endpoint ends with it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
