package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/hook"
)

// producerGrace is what a command has from the signal that ends it to the kill.
const producerGrace = 2 * time.Second

// fromCommand is the flag of a command whose output is sent.
const fromCommand = "from-command"

// producerUsage is how a command is given.
const producerUsage = "usage: jetsend send --" + fromCommand + " [--name NAME] CONTACT -- COMMAND [ARG...]"

// producer is a command whose output is sent: an [io.Reader] of that output, whose
// end is io.EOF only when the command ended with 0. It is run without a shell and
// without an input, and gets no password of ours.
type producer struct {
	cmd    *exec.Cmd
	stop   context.CancelFunc
	waited sync.Once
	result error

	mu     sync.Mutex
	out    io.Reader // nil until it runs
	closed bool
	apart  bool
	group  *hook.Group // of what is apart, while it runs
}

// newProducer finds the command. It is run when its output is read.
func (a *app) newProducer(ctx context.Context, args []string) (*producer, error) {
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if cmd.Err != nil {
		stop()
		return nil, &fault.Failure{Code: exitcode.LocalFile, Reason: "nothing was sent", Err: cmd.Err}
	}
	if a.Environ != nil {
		cmd.Env = hook.Environment(a.Environ())
	}
	cmd.Stderr, cmd.WaitDelay = a.Stderr, producerGrace
	// On a terminal the command stays in our process group: it may ask there, and a
	// Ctrl-C reaches all of it. Without one it gets a group of its own, so that all of
	// it can be told to end.
	t, err := a.OpenTTY()
	if err == nil {
		_ = t.Close() // only looked for
		stoppable(cmd)
	} else {
		hook.Apart(cmd)
	}
	return &producer{cmd: cmd, stop: stop, apart: err != nil}, nil
}

// Read implements [io.Reader].
func (p *producer) Read(b []byte) (int, error) {
	out, err := p.begin()
	if err != nil {
		return 0, p.failed(err)
	}
	n, err := out.Read(b)
	if err != nil && errors.Is(err, io.EOF) {
		if err := p.wait(); err != nil {
			return n, p.failed(err)
		}
	}
	return n, err
}

// begin starts the command, once.
func (p *producer) begin() (io.Reader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, context.Canceled
	}
	if p.out != nil {
		return p.out, nil
	}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	p.out = out
	if p.apart {
		p.group = hook.Gather(p.cmd)
	}
	return out, nil
}

func (p *producer) wait() error {
	p.waited.Do(func() { p.result = p.cmd.Wait() })
	return p.result
}

// failed is the end of a command that did not end with 0.
func (p *producer) failed(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if interrupted(exit) {
			return fault.ErrInterrupted // Ctrl-C, which we get as well
		}
	}
	name := clean.Text(filepath.Base(p.cmd.Path))
	return &fault.Failure{Code: exitcode.LocalFile, Reason: "nothing was sent", Err: fmt.Errorf("%s: %w", name, err)}
}

// Close ends the command, and waits for that. Nothing is left of what was apart.
func (p *producer) Close() {
	p.mu.Lock()
	p.closed = true
	runs, group := p.out != nil, p.group
	p.group = nil
	p.mu.Unlock()
	p.stop()
	if !runs {
		return
	}
	_ = p.wait() // whatever it ended with, nobody asks any more
	if group != nil {
		group.Sweep()
		group.Close()
	}
}

// commandArgs wants the contact, unless it is named by a flag, and the command behind "--".
func commandArgs(cmd *cobra.Command, args []string, named bool) error {
	contacts := 1
	if named {
		contacts = 0
	}
	switch dash := cmd.ArgsLenAtDash(); {
	case dash < 0 || dash == len(args):
		return usagef("the command is missing: it goes behind --, as it is, and no shell looks at it").hint(producerUsage)
	case dash < contacts:
		return usagef("the contact is missing").hint(producerUsage)
	case dash > contacts:
		return usagef("--%s takes no files", fromCommand).hint(producerUsage)
	}
	return nil
}
