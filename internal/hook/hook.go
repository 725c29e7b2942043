// Package hook runs an executable of the user's for something that happened. It
// is run by its path, without arguments and without a shell: what others have
// named can neither be an option nor a command. It learns what happened from its
// environment and, once more, as JSON on its standard input. Time and output are
// bounded, and how it ends is told, no more.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	// limit is how long a hook may run when its Config does not say: one that
	// hangs must not hold its place for ever.
	limit = 15 * time.Minute
	// farewell is what a hook gets, when it is stopped, from the signal to the
	// kill, and what its children may hold on to its output after it has ended.
	farewell = 2 * time.Second
	// maxOutput is how much of its output is kept for the log.
	maxOutput = 4 << 10
)

// secretPrefix begins the variables that no hook gets: passwords, and the files
// that they are in.
const secretPrefix = "JETSEND_PASSWORD"

// ErrTime means that a hook ran for longer than it may, and was killed.
var ErrTime = errors.New("out of time")

// Config says what is run. The zero value is not usable.
type Config struct {
	// Path is absolute: a hook is never looked for.
	Path string
	// Env is the environment, as from os.Environ. Passwords in it are not
	// handed on.
	Env []string
	// Limit is how long it may run; 0 is 15 minutes.
	Limit time.Duration
}

// Call is one run of a hook.
type Call struct {
	Dir string // to run in
	// Vars are added to the environment, NAME=value; the last of a name counts.
	Vars  []string
	Stdin []byte
}

// Result is how a run ended.
type Result struct {
	// Status is the exit status; -1 when there is none, and Err says why.
	Status  int
	Err     error
	Output  []byte // the beginning of both its streams
	Seconds float64
}

// Run runs the hook and waits for it. When ctx ends or its time is over, the hook
// and its children are told to stop, and killed soon after.
func (c *Config) Run(ctx context.Context, call Call) Result {
	timed, cancel := context.WithTimeoutCause(ctx, c.limit(), ErrTime)
	defer cancel()
	var output head
	cmd := exec.CommandContext(timed, c.Path)
	cmd.Dir, cmd.Env = call.Dir, append(Environment(c.Env), call.Vars...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(call.Stdin), &output, &output
	cmd.WaitDelay = farewell
	Apart(cmd)
	begun := time.Now()
	err := runAll(timed, cmd)
	r := Result{Status: -1, Output: output.b, Seconds: time.Since(begun).Seconds()}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the latter: it left children behind, which is its business
		r.Status = 0
	case errors.As(err, &exit) && exit.Exited():
		r.Status = exit.ExitCode()
	default:
		r.Err = fmt.Errorf("run hook: %w", err)
	}
	return r
}

// runAll runs a command. When ctx ends before it does, nothing is left of it and its
// children, and the error is the cause.
func runAll(ctx context.Context, cmd *exec.Cmd) error {
	err := cmd.Start()
	if err == nil {
		g := Gather(cmd)
		defer g.Close()
		if err = cmd.Wait(); err != nil && ctx.Err() != nil {
			g.Sweep()
		}
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

func (c *Config) limit() time.Duration {
	if c.Limit > 0 {
		return c.Limit
	}
	return limit
}

// Environment is what a hook gets of an environment: no passwords.
func Environment(env []string) []string {
	out := make([]string, 0, len(env))
	for _, kv := range env {
		if !strings.HasPrefix(strings.ToUpper(kv), secretPrefix) {
			out = append(out, kv)
		}
	}
	return out
}

// head keeps the beginning of what is written.
type head struct{ b []byte }

// Write implements [io.Writer]; it takes everything.
func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxOutput-len(h.b))]...)
	return len(p), nil
}
