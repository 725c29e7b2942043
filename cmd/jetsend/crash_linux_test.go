package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// crashVariable makes TestCrash the process that crashes.
const crashVariable = "JETSEND_TEST_CRASH"

// TestCrash: under the systemd unit a process that panics ends by a signal, after
// which it is started again, and not with a code that the unit lists as final.
func TestCrash(t *testing.T) {
	if os.Getenv(crashVariable) != "" {
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
			t.Fatal(err)
		}
		go panic("as a handler or a transfer might")
		time.Sleep(time.Hour)
	}
	_, setting := unitFile(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrash$")
	cmd.Env = append(os.Environ(), crashVariable+"=1", setting("Environment"))
	out, err := cmd.CombinedOutput()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		t.Errorf("%v\n%s", err, out)
	}
}
