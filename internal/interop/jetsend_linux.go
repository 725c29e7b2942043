package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

const (
	// jetsendTimeout bounds what jetsend does between two events of a cell.
	jetsendTimeout = 40 * time.Second
	// errorTail is how much of jetsend's standard error a failure shows.
	errorTail = 600
)

// account is an account that only jetsend uses, with its state directory.
type account struct {
	user   string
	world  *world
	dir    string
	stderr string
}

func (w *world) newAccount(user string) *account {
	a := &account{user: user, world: w, dir: filepath.Join(base, w.kind.name, user)}
	a.stderr = filepath.Join(a.dir, "stderr.log")
	w.kept = append(w.kept, a.stderr, filepath.Join(a.dir, "events.log"))
	return a
}

func (a *account) bareJID() string { return a.world.jid(a.user) }

// event is one line of jetsend --json: the members that the cells look at.
type event struct {
	Event          string    `json:"event"`
	Time           time.Time `json:"time"`
	JID            string    `json:"jid"`
	Peer           string    `json:"peer"`
	Name           string    `json:"name"`
	Transport      string    `json:"transport"`
	Candidate      string    `json:"candidate"`
	Cipher         string    `json:"cipher"`
	Encryption     string    `json:"encryption"`
	Devices        []device  `json:"devices"`
	Path           string    `json:"path"`
	Size           int64     `json:"size"`
	Verified       []string  `json:"verified"`
	VerifiedByPeer bool      `json:"verified_by_peer"`
	Code           int       `json:"code"`
	Reason         string    `json:"reason"`
	Link           string    `json:"link"`
}

// device is an OMEMO device in an event.
type device struct {
	ID          int64  `json:"id"`
	Fingerprint string `json:"fingerprint"`
	Trust       string `json:"trust"`
}

// command is a running jetsend. Its events are collected as they come.
type command struct {
	account *account
	proc    *process
	start   time.Time
	from    int64 // where its standard error begins in the account's log

	mu     sync.Mutex
	events []event
	bad    error         // a line that is no event
	read   chan struct{} // closed when standard output has ended
}

// start runs jetsend with this account.
func (a *account) start(args ...string) (*command, error) {
	for _, sub := range []string{"state", "home", "in"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make directory of %s: %w", a.user, err)
		}
	}
	cmd := exec.Command(a.world.rig.jetsend, args...)
	cmd.Dir = a.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + filepath.Join(a.dir, "home"),
		"JETSEND_JID=" + a.bareJID(), "JETSEND_PASSWORD=" + passwordOf(a.user),
		"JETSEND_SERVER=" + a.world.addr(), "JETSEND_TLS_CA_FILE=" + a.world.caFile,
		"JETSEND_STATE_DIR=" + a.stateDir(),
	}
	out, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	cmd.Stdout = w
	c := &command{account: a, start: time.Now(), read: make(chan struct{})}
	if info, err := os.Stat(a.stderr); err == nil {
		c.from = info.Size()
	}
	c.proc, err = launch(cmd, a.stderr)
	_ = w.Close() // the child has its own
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	go c.collect(out)
	return c, nil
}

func (a *account) stateDir() string { return filepath.Join(a.dir, "state") }

// collect reads events until standard output ends, and keeps them in a log.
func (c *command) collect(out io.ReadCloser) {
	defer close(c.read)
	defer func() { _ = out.Close() }()
	log, err := os.OpenFile(filepath.Join(c.account.dir, "events.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		defer func() { _ = log.Close() }()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if log != nil {
			_, _ = fmt.Fprintln(log, lines.Text()) // for people only
		}
		var e event
		err := json.Unmarshal(lines.Bytes(), &e)
		c.mu.Lock()
		if err != nil {
			c.bad = errors.Join(c.bad, fmt.Errorf("no event: %q: %w", lines.Text(), err))
		}
		c.events = append(c.events, e)
		c.mu.Unlock()
	}
}

// find returns the first event of a kind, or of any of several, about a file;
// an empty name is any file.
func (c *command) find(name string, kinds ...string) (event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		for _, k := range kinds {
			if e.Event == k && (name == "" || e.Name == name) {
				return e, true
			}
		}
	}
	return event{}, false
}

// wait returns the first such event, waiting for it while the program runs.
func (c *command) wait(ctx context.Context, name string, kinds ...string) (event, error) {
	var e event
	err := poll(ctx, jetsendTimeout, fmt.Sprintf("wait for jetsend to say %v", kinds), func(context.Context) (bool, error) {
		ended := !c.proc.running()
		if ended {
			<-c.read
		}
		var found bool
		if e, found = c.find(name, kinds...); found {
			return true, nil
		}
		return ended, nil
	})
	if err == nil && e.Event == "" {
		err = fmt.Errorf("wait for jetsend to say %v: it ended (%w)", kinds, c.proc.err)
	}
	if err != nil {
		return e, fmt.Errorf("%w; %s", err, c.complaint())
	}
	return e, nil
}

// exit waits for the program to end by itself and returns its status.
func (c *command) exit(ctx context.Context) (int, error) {
	timer := time.NewTimer(jetsendTimeout)
	defer timer.Stop()
	select {
	case <-c.proc.done:
		<-c.read
		return c.proc.cmd.ProcessState.ExitCode(), nil
	case <-timer.C:
	case <-ctx.Done():
	}
	c.proc.kill()
	return 0, fmt.Errorf("jetsend %s does not end; %s", c.proc.cmd.Args[1], c.complaint())
}

// close ends the program.
func (c *command) close() {
	c.proc.stop()
	<-c.read
}

// complaint is the end of what the program said on standard error, and what it
// wrote to standard output that is no event.
func (c *command) complaint() string {
	c.mu.Lock()
	bad := c.bad
	c.mu.Unlock()
	text, err := os.ReadFile(c.account.stderr)
	if err != nil {
		return err.Error()
	}
	text = text[min(c.from, int64(len(text))):]
	text = text[max(0, len(text)-errorTail):]
	if bad != nil {
		return fmt.Sprintf("standard output: %v; standard error: %s", bad, text)
	}
	return "standard error: " + string(text)
}

// receive starts a receiver and returns when it is online. The caller closes
// it, or leaves that to the world.
func (a *account) receive(ctx context.Context, flags ...string) (*command, error) {
	c, err := a.start(append([]string{"receive", "--json", "--dir", filepath.Join(a.dir, "in"), "--accept", "contacts"}, flags...)...)
	if err != nil {
		return nil, err
	}
	if _, err := c.wait(ctx, "", "online"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// loseSessions makes a jetsend that is not running forget every OMEMO session,
// but neither its identity nor its prekeys.
func (a *account) loseSessions(ctx context.Context) error {
	address, err := jid.Parse(a.bareJID())
	if err != nil {
		return fmt.Errorf("parse own address: %w", err)
	}
	return execute(ctx, state.Path(a.stateDir(), address), "delete from sessions")
}
