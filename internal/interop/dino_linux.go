package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	// dinoTimeout bounds the start of Dino until it is online, about 1 s on an
	// idle machine.
	dinoTimeout = 30 * time.Second
	// dinoPlain and dinoOMEMO are what Dino's database calls encryption.
	dinoPlain = 0
	dinoOMEMO = 2
)

// desktop is one Dino on an X display of its own, with one account and one open
// conversation that is encrypted with OMEMO.
type desktop struct {
	user, peer string // local parts
	server     *server
	dir        string
	shim       string // the preloaded library
	address    string // what it offers as its direct candidate

	screen        *screen
	manager, dino *process
}

// bareJID and fullJID are the addresses of its account.
func (d *desktop) bareJID() string { return d.server.jid(d.user) }

func (d *desktop) fullJID() string { return d.bareJID() + "/" + d.resource() }

func (d *desktop) resource() string { return "dino." + d.user }

func (d *desktop) data(name string) string { return filepath.Join(d.dir, "data", "dino", name) }

func (d *desktop) logPath() string { return filepath.Join(d.dir, "dino.log") }

// noDirect is the file whose existence keeps Dino from offering direct
// candidates; see shim/loopback.c.
func (d *desktop) noDirect() string { return filepath.Join(d.dir, "no-direct") }

// setDirect says whether Dino offers its own address from now on.
func (d *desktop) setDirect(yes bool) error {
	if !yes {
		return os.WriteFile(d.noDirect(), nil, 0o644)
	}
	if err := os.Remove(d.noDirect()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("allow direct candidates: %w", err)
	}
	return nil
}

// openDesktop makes the display, with a window manager but without Dino.
func openDesktop(d *desktop) error {
	for _, sub := range []string{"data/dino", "send"} {
		if err := os.MkdirAll(filepath.Join(d.dir, sub), 0o700); err != nil {
			return fmt.Errorf("make desktop: %w", err)
		}
	}
	var err error
	if d.screen, err = openScreen(d.dir); err != nil {
		return err
	}
	wm := exec.Command("openbox")
	wm.Env = d.environment()
	d.manager, err = launch(wm, filepath.Join(d.dir, "openbox.log"))
	return err
}

// environment is the whole environment of the desktop's programs.
func (d *desktop) environment() []string {
	return append(d.screen.environment(), "GSK_RENDERER=cairo", "G_MESSAGES_DEBUG=all")
}

// run starts Dino itself.
func (d *desktop) run() error {
	cmd := exec.Command("dino-im", "--print-xmpp=all")
	cmd.Env = append(d.environment(), "LD_PRELOAD="+d.shim, "RIG_ADDRESS="+d.address, "RIG_NO_DIRECT="+d.noDirect())
	var err error
	d.dino, err = launch(cmd, d.logPath())
	return err
}

// start starts Dino and returns when it has announced itself.
func (d *desktop) start(ctx context.Context) error {
	before := d.logSize()
	if err := d.run(); err != nil {
		return err
	}
	return poll(ctx, dinoTimeout, "wait for Dino to be online", func(context.Context) (bool, error) {
		if !d.dino.running() {
			return false, fmt.Errorf("it ended by itself: %w", d.dino.err)
		}
		text, err := d.logSince(before)
		// Its presence carries its capabilities (XEP-0115). In its log names are {space}:local.
		return bytes.Contains(text, []byte("https://dino.im")) && bytes.Contains(text, []byte("{jabber:client}:presence")), err
	})
}

// stop ends Dino; the display stays.
func (d *desktop) stop() {
	d.dino.stop()
	d.dino = nil
}

// close ends everything of the desktop.
func (d *desktop) close() {
	d.stop()
	d.manager.stop()
	d.screen.close()
}

func (d *desktop) logSize() int64 {
	info, err := os.Stat(d.logPath())
	if err != nil {
		return 0
	}
	return info.Size()
}

// logSince returns what Dino has logged after the first n bytes: every stanza,
// both ways, and its own messages.
func (d *desktop) logSince(n int64) ([]byte, error) {
	f, err := os.Open(d.logPath())
	if err != nil {
		return nil, fmt.Errorf("open Dino's log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(n, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read Dino's log: %w", err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read Dino's log: %w", err)
	}
	return text, nil
}

// buildShim compiles the preloaded library.
func buildShim(ctx context.Context) (string, error) {
	source, library := filepath.Join(base, "loopback.c"), filepath.Join(base, "loopback.so")
	if err := os.WriteFile(source, shimSource, 0o644); err != nil {
		return "", fmt.Errorf("write shim: %w", err)
	}
	out, err := exec.CommandContext(ctx, "gcc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile shim: %w: %s", err, out)
	}
	return library, nil
}
