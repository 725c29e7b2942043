package main

import (
	"bufio"
	"context"
	_ "embed" // the driver
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

//go:embed driver/gajim.py
var gajimDriver []byte

// gajimPort is where Gajim listens for direct connections.
const gajimPort = "28011"

// gajim is one Gajim on a display of its own, with one account, worked by
// driver/gajim.py.
type gajim struct {
	user   string // local part
	server *server
	dir    string
	full   string // its full JID, once online

	screen   *screen
	proc     *process
	commands io.WriteCloser

	mu     sync.Mutex
	events []gajimEvent
	read   chan struct{} // closed when its events have ended
	inband bool          // the next file goes in-band, to who has nothing else
}

// gajimEvent is what the driver tells.
type gajimEvent struct {
	Event  string `json:"event"` // online, sending, refused, sent, failed
	Name   string `json:"name"`
	Reason string `json:"reason"`
	JID    string `json:"jid"`
}

func (g *gajim) logPath() string { return filepath.Join(g.dir, "gajim.log") }

// start starts Gajim and returns when it is online.
func (g *gajim) start(ctx context.Context) error {
	var err error
	if g.screen, err = openScreen(g.dir); err != nil {
		return err
	}
	script := filepath.Join(g.dir, "driver.py")
	if err := os.WriteFile(script, gajimDriver, 0o600); err != nil {
		return fmt.Errorf("write driver: %w", err)
	}
	cmd := exec.Command("/usr/bin/python3", script, g.server.jid(g.user), passwordOf(g.user), g.server.addr(), gajimPort, filepath.Join(g.dir, "gajim"))
	// Its idea of the network is to be that there is one.
	cmd.Env = append(g.screen.environment(), "GIO_USE_NETWORK_MONITOR=base")
	if g.commands, err = cmd.StdinPipe(); err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	cmd.Stdout = w
	g.proc, err = launch(cmd, g.logPath())
	_ = w.Close() // the child has its own
	if err != nil {
		_ = out.Close()
		return err
	}
	g.read = make(chan struct{})
	go g.collect(out)
	e, err := g.wait(ctx, "", "online")
	g.full = e.JID
	return err
}

// collect reads events until there are no more.
func (g *gajim) collect(out io.ReadCloser) {
	defer close(g.read)
	defer func() { _ = out.Close() }()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e gajimEvent
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // Gajim itself prints there, too
		}
		g.mu.Lock()
		g.events = append(g.events, e)
		g.mu.Unlock()
	}
}

// wait returns the first event of one of some kinds about a file; an empty name
// is any.
func (g *gajim) wait(ctx context.Context, name string, kinds ...string) (gajimEvent, error) {
	var e gajimEvent
	err := poll(ctx, startTimeout, fmt.Sprintf("wait for Gajim to say %v", kinds), func(context.Context) (bool, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, e = range g.events {
			for _, k := range kinds {
				if e.Event == k && (name == "" || e.Name == name) {
					return true, nil
				}
			}
		}
		if !g.proc.running() {
			return false, fmt.Errorf("it ended: %w; its log: %s", g.proc.err, tail(g.logPath()))
		}
		return false, nil
	})
	return e, err
}

// do gives the driver a command.
func (g *gajim) do(command map[string]any) error {
	line, err := json.Marshal(command)
	if err == nil {
		_, err = g.commands.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("give Gajim a command: %w", err)
	}
	return nil
}

// offerPath says which way Gajim sends from now on.
func (g *gajim) offerPath(via string) error {
	g.inband = via == viaInband
	return g.do(map[string]any{"do": "paths", "direct": via == viaDirect, "proxy": via == viaProxy})
}

// sendFile has Gajim offer a file.
func (g *gajim) sendFile(ctx context.Context, path, to string) error {
	if err := g.do(map[string]any{"do": "send", "path": path, "to": to, "inband": g.inband}); err != nil {
		return err
	}
	e, err := g.wait(ctx, filepath.Base(path), "sending", "refused")
	if err == nil && e.Event == "refused" {
		err = errors.New("Gajim does not send this file")
	}
	return err
}

// close ends Gajim and its display.
func (g *gajim) close() {
	if g.proc != nil {
		_ = g.commands.Close()
		g.proc.stop()
		<-g.read
	}
	g.screen.close()
}
