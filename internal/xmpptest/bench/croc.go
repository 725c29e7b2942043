package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/child"
)

// croc is a relay of croc's on loopback, and two homes of its users.
type croc struct {
	program, dir, relay string
	proc                *child.Process
}

var errNoCroc = errors.New("croc is not installed")

const (
	// crocPorts is how many ports the relay has, in a row.
	crocPorts = 5
	// crocTry bounds what shows that this croc can be measured.
	crocTry = 20 * time.Second
)

// startCroc starts a relay, where croc is installed.
func startCroc(ctx context.Context, dir, path string) (*croc, error) {
	c := &croc{dir: dir}
	for _, p := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(p, "croc")); err == nil && c.program == "" {
			c.program = filepath.Join(p, "croc")
		}
	}
	if c.program == "" {
		return nil, errNoCroc
	}
	if err := os.MkdirAll(filepath.Join(dir, "inbox"), 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	port, err := xmpptest.FreePort()
	if err != nil {
		return nil, err
	}
	c.relay = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cmd := exec.Command(c.program, "relay", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--transfers", strconv.Itoa(crocPorts))
	cmd.Env = []string{"HOME=" + dir}
	if c.proc, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err = c.wait(ctx, port); err == nil {
		err = c.try(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// try sends something small: versions of croc differ in their options.
func (c *croc) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, crocTry)
	defer cancel()
	file := source{filepath.Join(c.dir, "try.bin"), 1}
	if err := fill(file); err != nil {
		return err
	}
	_, err := c.tree(file.path).run(ctx, filepath.Join(c.dir, "inbox"))
	return err
}

// wait returns when all ports of the relay are open.
func (c *croc) wait(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, sshStart)
	defer cancel()
	tick := time.NewTicker(sshPoll)
	defer tick.Stop()
	var d net.Dialer
	for open := 0; open < crocPorts; {
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+open)))
		if err == nil {
			_ = conn.Close() // only a look
			open++
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for croc's relay: %w", err)
		}
	}
	return nil
}

func (c *croc) close() error { return c.proc.Stop(sshStart) }

// tree sends a file or a folder from the time that the sender starts until both ends are done.
// The receiver starts when the sender has said the code.
func (c *croc) tree(from string) rival {
	return rival{"croc, through a relay", func(ctx context.Context, into string) (time.Duration, error) {
		begin := time.Now()
		said := &awaited{text: "other computer", seen: make(chan struct{})}
		sender := c.command(ctx, said, "send", "--no-local", from)
		if err := sender.Start(); err != nil {
			return 0, fmt.Errorf("croc: %w", err)
		}
		select {
		case <-said.seen:
		case <-ctx.Done():
		}
		var out bytes.Buffer
		err := c.command(ctx, &out, "--overwrite", "--out", into).Run()
		if err = errors.Join(err, sender.Wait()); err != nil {
			return 0, fmt.Errorf("croc: %w: %s %s", err, &out, said.String())
		}
		return time.Since(begin), nil
	}}
}

// command is an end. The global options come first.
func (c *croc) command(ctx context.Context, out io.Writer, args ...string) *exec.Cmd {
	args = append([]string{"--yes", "--ignore-stdin", "--disable-clipboard", "--relay", c.relay, "--relay6", ""}, args...)
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Env = []string{"HOME=" + c.dir, "CROC_SECRET=1234-romeo-juliet-balcony"}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd
}

// awaited keeps what is written, and tells when a text was.
type awaited struct {
	text string
	seen chan struct{}

	mu   sync.Mutex
	all  bytes.Buffer
	told bool
}

// Write implements io.Writer.
func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := a.all.Write(p)
	if !a.told && strings.Contains(a.all.String(), a.text) {
		a.told = true
		close(a.seen)
	}
	return n, err
}

// String returns the last of what was written.
func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	const last = 500
	return string(a.all.Bytes()[max(a.all.Len()-last, 0):])
}
