package xmpptest

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// software is the server that the tests run: Prosody unless the environment
// says otherwise.
func software() Software { return Software(os.Getenv("JETSEND_TEST_SERVER")) }
