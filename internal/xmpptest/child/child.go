// Package child runs child processes that cannot be lost: each has a goroutine
// that waits for it, is ended by its own process id, and on Linux dies with this
// process whatever happens to it.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// ErrKilled is returned by [Process.Stop] for a process that did not stop when
// asked. Use errors.Is.
var ErrKilled = errors.New("did not stop in time and was killed")

// Process is a started child process. Its methods may be called from any
// goroutine and again after it is gone.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	// Valid after done:
	err   error
	took  time.Duration
	begun time.Time
}

// Start starts the command, whose SysProcAttr is set here. The child has a
// process group of its own, so that a Ctrl-C at the terminal reaches only this
// process, which then stops the child in its own order.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		defer close(p.done)
		// The death signal is tied to the thread that forks, so this goroutine
		// keeps its thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.begun = time.Now()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			p.took = time.Since(p.begun)
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process is gone and its output is read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process is gone and returns what [exec.Cmd.Wait] did.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Begun is when the process was started.
func (p *Process) Begun() time.Time { return p.begun }

// Took waits until the process is gone and returns how long it lived.
func (p *Process) Took() time.Duration {
	<-p.done
	return p.took
}

// Signal sends a signal to the process; one that is gone does not mind.
func (p *Process) Signal(sig os.Signal) { _ = p.cmd.Process.Signal(sig) }

// Stop sends SIGTERM, waits and kills the process after the timeout.
func (p *Process) Stop(timeout time.Duration) error {
	p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("process %d: %w", p.PID(), ErrKilled)
	}
}

// Kill ends the process at once and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it is gone
	<-p.done
}
