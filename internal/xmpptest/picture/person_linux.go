package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"jetsend/internal/xmpptest/pty"
)

// look is how often a person looks at the screen.
const look = 20 * time.Millisecond

// person has a shell in a terminal.
type person struct {
	name    string
	control *os.File
	cmd     *exec.Cmd

	mu     sync.Mutex
	screen *screen
	read   chan struct{} // closed when nothing more comes
}

// enter gives a person a /home of its own, so that the paths on the screen are those of any
// machine, and a shell in there.
const enter = `mount --bind "$1" /home && cd && exec sh -i`

// sitDown gives a person a shell of their own. home is what becomes /home.
func sitDown(name, home string, rows, columns int, env ...string) (*person, error) {
	control, terminal, err := pty.Open(rows, columns)
	if err != nil {
		return nil, err
	}
	p := &person{name: name, control: control, screen: newScreen(rows, columns), read: make(chan struct{})}
	p.cmd = exec.Command("sh", "-c", enter, "sh", home)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.cmd.Env = append(env, "HOME=/home/"+name, "PATH=/home/bin:/usr/bin:/bin", "TERM=xterm", "LANG=C.UTF-8", "PS1=\x1b[1;32m"+name+"$\x1b[0m ")
	p.cmd.SysProcAttr = namespaces()
	p.cmd.SysProcAttr.Setsid, p.cmd.SysProcAttr.Setctty = true, true // without its terminal it ends
	err = p.cmd.Start()
	if err = errors.Join(err, terminal.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("start a shell: %w", err), control.Close())
	}
	go p.watch()
	return p, nil
}

// namespaces are mounts of their own, for whoever runs this.
func namespaces() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return a
}

func (p *person) watch() {
	defer close(p.read)
	b := make([]byte, 4096)
	for {
		n, err := p.control.Read(b)
		p.mu.Lock()
		_, _ = p.screen.Write(b[:n]) // never fails
		p.mu.Unlock()
		if err != nil {
			return // the terminal is closed
		}
	}
}

// sees waits until something can be read on the screen so many times.
func (p *person) sees(ctx context.Context, what string, times int) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		p.mu.Lock()
		text := p.screen.text()
		p.mu.Unlock()
		if strings.Count(text, what) >= times {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.read:
			return fmt.Errorf("the shell of %s has ended:\n%s", p.name, text)
		case <-ctx.Done():
			return fmt.Errorf("%s waits for %q: %w; the screen:\n%s", p.name, what, context.Cause(ctx), text)
		}
	}
}

// types presses keys.
func (p *person) types(text string) error {
	_, err := io.WriteString(p.control, text)
	return err
}

// leave takes the terminal away, which ends all that runs in it.
func (p *person) leave() {
	_ = p.control.Close() // nothing of it is needed any more
	<-p.read
	_ = p.cmd.Wait() // it was hung up
}
