package child

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, script string) (*Process, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	r, w := io.Pipe()
	cmd.Stdout = w
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); p.Kill() })
	return p, bufio.NewReader(r)
}

func TestWait(t *testing.T) {
	p, _ := start(t, "exit 3")
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
	p.Kill()
	if err := p.Stop(time.Second); err != nil {
		t.Errorf("stop after the end: %v", err)
	}
}

func TestStop(t *testing.T) {
	p, _ := start(t, "exec sleep 1000")
	if err := p.Stop(time.Minute); err != nil {
		t.Errorf("stop: %v", err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("not done")
	}
}

func TestStopOfTheDeaf(t *testing.T) {
	p, out := start(t, "trap '' TERM; echo ready; while :; do read x < /dev/null; done")
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if err := p.Stop(50 * time.Millisecond); !errors.Is(err, ErrKilled) {
		t.Errorf("stop: %v", err)
	}
}

func TestNoProgram(t *testing.T) {
	if _, err := Start(exec.Command("/nonexistent/program")); err == nil || !strings.Contains(err.Error(), "/nonexistent/program") {
		t.Errorf("%v", err)
	}
}
