package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// console is a Windows program on a console: Wine draws it on a terminal.
type console struct {
	cmd     *exec.Cmd
	control *os.File // what a person types goes in, what he sees comes out
	done    chan struct{}
	err     error // of the wait, valid after done

	mu   sync.Mutex
	out  bytes.Buffer
	seen int // of out, by expect
}

// onConsole starts a command on a console of its own.
func onConsole(cmd *exec.Cmd) (*console, error) {
	control, terminal, err := openPTY()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	c := &console{cmd: cmd, control: control, done: make(chan struct{})}
	err = cmd.Start()
	_ = terminal.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, err := control.Read(b) // ends when the last end of the terminal is closed, with EIO
			c.mu.Lock()
			c.out.Write(b[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer close(c.done)
		c.err = cmd.Wait()
		_ = control.SetReadDeadline(time.Now().Add(time.Second)) // Wine's console may outlive the program
		<-read
	}()
	return c, nil
}

// openPTY opens a pseudo-terminal.
func openPTY() (control, terminal *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	var number int
	conn, err := control.SyscallConn()
	if err == nil {
		cerr := conn.Control(func(fd uintptr) {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
			err = errors.Join(err, unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0),
				unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 120}))
		})
		err = errors.Join(err, cerr)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, control.Close())
	}
	return control, terminal, nil
}

// text is what was on the console.
func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// expect waits until something new is on the console.
func (c *console) expect(ctx context.Context, what string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ended := false; ; {
		text := c.text()
		if i := strings.Index(text[c.seen:], what); i >= 0 {
			c.seen += i + len(what)
			return nil
		}
		if ended {
			return fmt.Errorf("it ended without %q: %q", what, text)
		}
		select {
		case <-tick.C:
		case <-c.done:
			ended = true
		case <-ctx.Done():
			return fmt.Errorf("no %q: %q", what, text)
		}
	}
}

// keys types something.
func (c *console) keys(s string) error {
	_, err := c.control.WriteString(s)
	return err
}

// answer types an answer to what is asked.
func (c *console) answer(ctx context.Context, asked, typed string) error {
	if err := c.expect(ctx, asked); err != nil {
		return err
	}
	return c.reply(ctx, typed)
}

// reply types when somebody reads: before, the terminal takes keys for its own, and Wine
// gets an Enter as something else.
func (c *console) reply(ctx context.Context, typed string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		raw, err := c.raw()
		if err != nil {
			return err
		}
		if raw {
			return c.keys(typed)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("nobody reads: %q", c.text())
		}
	}
}

// raw reports whether the terminal hands on each key as it is.
func (c *console) raw() (raw bool, err error) {
	conn, err := c.control.SyscallConn()
	if err != nil {
		return false, err
	}
	cerr := conn.Control(func(fd uintptr) {
		var mode *unix.Termios
		if mode, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
			raw = mode.Lflag&unix.ICANON == 0
		}
	})
	return raw, errors.Join(err, cerr)
}

// ends waits for the end of the program, which is to be this one.
func (c *console) ends(ctx context.Context, code int) error {
	select {
	case <-c.done:
	case <-ctx.Done():
		return fmt.Errorf("it has not ended: %q", c.text())
	}
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("it ended with %d instead of %d (%w): %q", got, code, c.err, c.text())
	}
	return nil
}

// close ends what still runs.
func (c *console) close() {
	_ = c.cmd.Process.Kill() // it has ended, or does
	<-c.done
	_ = c.control.Close() // read to its end
}
