package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/xmpptest/pair"
)

const (
	// jobTimeout bounds one transfer: one that finds its way at the last moment
	// takes some twenty seconds.
	jobTimeout = 90 * time.Second
	// stopTimeout is how long a jetsend may take to stop when asked.
	stopTimeout = 5 * time.Second
)

// lab is all that transfers need: a server with two accounts, and the homes.
type lab struct {
	sender, receiver pair.Account
	homes            map[string][2]*home // by kind, one for each side
	say              func(format string, args ...any)
}

// job is one `send` to a `receive --once`.
type job struct {
	from, to *home
	file     payload
	// More flags, and configurations of the two ends, "" for none.
	send, receive             []string
	sendConfig, receiveConfig string
}

// payload is a file to send.
type payload struct {
	path, sum string
	size      int64
}

// outcome is how a transfer went.
type outcome struct {
	transport, candidate string
	found                time.Duration // from the yes to the path, at the sender
	moved                time.Duration // from the path to the end, at the sender
	carried              int64         // what went through the server's interface meanwhile
	right                bool          // the file that arrived is the one that was sent
}

// path is the path as it is printed.
func (o outcome) path() string { return pathName(o.transport, o.candidate) }

// makePayload makes a file of random bytes.
func makePayload(name string, size int64) (payload, error) {
	p := payload{path: filepath.Join(base, name), size: size}
	f, err := os.Create(p.path)
	if err != nil {
		return p, fmt.Errorf("make file: %w", err)
	}
	hash := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, hash), rand.Reader, size)
	if err = errors.Join(err, f.Close()); err != nil {
		return p, fmt.Errorf("write file: %w", err)
	}
	p.sum = hex.EncodeToString(hash.Sum(nil))
	return p, nil
}

// start runs jetsend in a home.
func start(a pair.Account, h *home, config string, args ...string) (*pair.Process, error) {
	line := append([]string{"netns", "exec", h.machine, a.Program}, args...)
	a.Program = lookPath("ip")
	return a.Start(config, nil, line...)
}

// do does a job. Whatever keeps the file from arriving whole is an error, which
// has the events of both ends.
func (l *lab) do(ctx context.Context, j job) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, jobTimeout)
	defer cancel()
	inbox, err := os.MkdirTemp(base, "in-")
	if err != nil {
		return o, fmt.Errorf("make inbox: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(inbox)) }()
	before, err := carried()
	if err != nil {
		return o, err
	}
	r, err := start(l.receiver, j.to, j.receiveConfig,
		append([]string{"receive", "--once", "--accept", "contacts", "--dir", inbox, "--json"}, j.receive...)...)
	if err != nil {
		return o, err
	}
	defer func() { _ = r.Stop(stopTimeout) }() // killed at the latest
	select {
	case <-r.Online():
	case <-r.Done():
	case <-ctx.Done():
	}
	s, err := start(l.sender, j.from, j.sendConfig,
		append([]string{"send", "--json", j.file.path, l.receiver.JID}, j.send...)...)
	if err != nil {
		return o, err
	}
	defer func() { _ = s.Stop(stopTimeout) }() // killed at the latest
	for _, p := range []*pair.Process{s, r} {
		select {
		case <-p.Done():
		case <-ctx.Done():
			return o, fmt.Errorf("the transfer does not end: %w\n%s", ctx.Err(), story(s, r))
		}
		if p.ExitCode() != 0 {
			return o, fmt.Errorf("%s ended with %d\n%s", role(p), p.ExitCode(), story(s, r))
		}
	}
	l.say("%s", story(s, r))
	after, err := carried()
	if err != nil {
		return o, err
	}
	o, err = read(s.End(), r.End(), j.file)
	o.carried = after - before
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, story(s, r))
	}
	return o, err
}

// read gathers what both ends said.
func read(s, r pair.End, file payload) (o outcome, err error) {
	accepted, path, sent, received := s.Find("accepted"), s.Find("negotiated"), s.Find("sent"), r.Find("received")
	if accepted == nil || path == nil || sent == nil || received == nil {
		return o, errors.New("both ends exited with 0, but an event is missing")
	}
	o.transport, o.candidate = path.Transport, path.Candidate
	if path.Way != "" { // what made it possible
		o.candidate = path.Way
	}
	o.found, o.moved = path.Time.Sub(accepted.Time), sent.Time.Sub(path.Time)
	f, err := os.Open(received.Path)
	if err != nil {
		return o, fmt.Errorf("open what was received: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return o, fmt.Errorf("read what was received: %w", err)
	}
	if o.right = hex.EncodeToString(hash.Sum(nil)) == file.sum; !o.right {
		return o, errors.New("what was received is not what was sent")
	}
	return o, nil
}

// role is the command that a process runs.
func role(p *pair.Process) string { return p.Args()[4] }

// story is what both ends have said.
func story(ends ...*pair.Process) string {
	var b strings.Builder
	for _, p := range ends {
		fmt.Fprintf(&b, "--- %s\n", strings.Join(p.Args()[2:], " "))
		for _, e := range p.Events() {
			if e.Event == "garbage" {
				e.Line = e.Reason
			}
			fmt.Fprintf(&b, "%s\n", e.Line)
		}
		if text := p.Stderr(); text != "" {
			fmt.Fprintf(&b, "%s\n", strings.TrimSpace(text))
		}
	}
	return b.String()
}
