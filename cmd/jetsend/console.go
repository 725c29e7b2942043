package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// console is standard error: lines for people, and below them, on a terminal,
// a progress bar that makes way for them. It may be used from several
// goroutines.
type console struct {
	terminal bool
	color    bool
	pasted   func(hint string) string // see app.pasted

	mu     sync.Mutex
	w      io.Writer
	bar    bar
	held   *bytes.Buffer // what was written during a question; nil when there is none
	closed bool
}

func newConsole(w io.Writer, terminal bool, env func(string) string) *console {
	c := &console{w: w, terminal: terminal, bar: noBar{}, pasted: func(hint string) string { return hint }}
	if terminal {
		c.bar = newTerminalBar(w, erases(w, env))
		c.color = env("NO_COLOR") == "" && colours(w, env)
	}
	return c
}

// Write implements io.Writer for whole lines: usage texts, log lines, the
// complaints of a password command.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		return c.held.Write(p)
	}
	c.bar.Clear()
	return c.w.Write(p)
}

// line writes one line.
func (c *console) line(format string, args ...any) {
	_, _ = fmt.Fprintf(c, format+"\n", args...) // there is nowhere else to complain
}

// warn writes a warning.
func (c *console) warn(format string, args ...any) {
	c.line("jetsend: %s %s", c.paint("33", "warning:"), fmt.Sprintf(format, args...))
}

// fail writes an error and its hints.
func (c *console) fail(reason string, hints []string) {
	c.line("jetsend: %s %s", c.paint("31", "error:"), reason)
	c.hints(hints)
}

// hints writes what can be done about an error.
func (c *console) hints(hints []string) {
	for _, h := range hints {
		c.line("jetsend: hint: %s", c.pasted(h))
	}
}

// paint puts s into an ANSI colour.
func (c *console) paint(sgr, s string) string {
	if !c.color {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// progress moves the bar.
func (c *console) progress(s standing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil && !c.closed {
		c.bar.Update(s)
	}
}

// wipe clears the line of the cursor of what the terminal has echoed there, such as ^C.
func (c *console) wipe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar.Wipe()
}

// noProgress takes the bar away until the next progress.
func (c *console) noProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar.Clear()
}

// hold keeps the console still while a question stands on the terminal. The
// function that it returns shows what was held back.
func (c *console) hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar.Clear()
	c.held = new(bytes.Buffer)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = c.held.WriteTo(c.w)
		c.held = nil
	}
}

// close takes the bar away for good.
func (c *console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar.Clear()
	c.closed = true
}

// leaveTime is how long the end of the process may wait for a terminal that takes
// nothing at the moment (Ctrl-S): the user has asked twice.
const leaveTime = 200 * time.Millisecond

// leave is close right before the end of the process.
func (c *console) leave() {
	done := make(chan struct{})
	go func() { // ends with the process at the latest
		defer close(done)
		c.close()
	}()
	select {
	case <-done:
	case <-time.After(leaveTime):
	}
}
