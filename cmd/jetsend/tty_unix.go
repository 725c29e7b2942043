//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"jetsend/internal/fault"
)

// ttyName is the controlling terminal of whoever opens it.
const ttyName = "/dev/tty"

// tty is the controlling terminal.
type tty struct{ f *os.File }

// openTTY opens the controlling terminal of the process.
func openTTY() (terminal, error) {
	f, err := os.OpenFile(ttyName, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the terminal: %w", err)
	}
	return tty{f}, nil
}

// Close implements terminal.
func (t tty) Close() error { return t.f.Close() }

// interruptible makes a read of the terminal end with ctx.
func (t tty) interruptible(ctx context.Context) (stop func() bool) {
	_ = t.f.SetReadDeadline(time.Time{})
	return context.AfterFunc(ctx, func() { _ = t.f.SetReadDeadline(time.Unix(1, 0)) })
}

// Ask implements terminal. The line is edited and echoed by the system.
func (t tty) Ask(ctx context.Context, prompt string) (string, error) {
	defer t.interruptible(ctx)()
	if err := t.discard(); err != nil {
		return "", err
	}
	if _, err := io.WriteString(t.f, prompt); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(t.f, maxAnswer)).ReadString('\n')
	if ctx.Err() != nil {
		_, _ = io.WriteString(t.f, "\n") // what comes next is not a part of the question
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("no answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// Password implements terminal. The line is read key by key in raw mode, so
// that a cancelled context leaves no reader behind and no echo switched off.
// Ctrl-C is then a key like any other, and ends the run like the signal.
func (t tty) Password(ctx context.Context, prompt string) (password string, err error) {
	defer t.interruptible(ctx)()
	restore, err := t.raw()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, restore()) }()
	if err := t.discard(); err != nil {
		return "", err
	}
	password, err = term.NewTerminal(t.f, "").ReadPassword(prompt)
	if _, werr := io.WriteString(t.f, "\x1b[1A\r\x1b[2K"); err == nil {
		err = werr
	}
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, io.EOF): // Ctrl-C or Ctrl-D
		return "", fault.ErrInterrupted
	case err != nil:
		return "", fmt.Errorf("read the password: %w", err)
	}
	return password, nil
}

// discard throws away what was typed before the question could be seen: it is an
// answer to something else, such as an offer that was withdrawn.
func (t tty) discard() error {
	if err := t.control(discardInput); err != nil {
		return fmt.Errorf("discard what was typed before: %w", err)
	}
	return nil
}

// raw switches the terminal to raw mode and returns how to switch back.
func (t tty) raw() (restore func() error, err error) {
	var old *term.State
	err = t.control(func(fd uintptr) (err error) {
		old, err = term.MakeRaw(int(fd))
		return err
	})
	return func() error { return t.control(func(fd uintptr) error { return term.Restore(int(fd), old) }) }, err
}

// control lets do have the descriptor. It is borrowed, not taken with Fd, which
// could make it blocking.
func (t tty) control(do func(fd uintptr) error) error {
	conn, err := t.f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := conn.Control(func(fd uintptr) { err = do(fd) })
	return errors.Join(cerr, err)
}
