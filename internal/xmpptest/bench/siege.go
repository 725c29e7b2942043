package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

const (
	// stallers is how many files the attacker offers of which hardly a byte
	// comes, more than a receiver should let run of one contact.
	stallers = 8
	// stalled is how many of them have to run before anything is measured.
	stalled = 2
	// stopTime is how long a process may take to end.
	stopTime = 10 * time.Second
)

// fort is a receiver that stays, with an honest contact and another one.
type fort struct {
	server   *xmpptest.Server
	dir      string
	inbox    string
	port     string // of the receiver's listener
	receiver *pair.Process
	honest   pair.Account
	attacker pair.Account
	device   uint32 // of the receiver, once the attacker has sent something
}

// underSiege measures transfers to a receiver in peace, and again while another
// contact floods it with what costs work, and then with garbage, holds idle connections to its SOCKS5 listener
// and has it wait for stalled offers.
func underSiege(ctx context.Context, w io.Writer, o options, large, small source) (err error) {
	f, err := openFort(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.besideFloods(ctx, w); err != nil {
		return err
	}
	files := map[string]source{"s5b": large, "ibb": small}
	peace, err := f.measure(ctx, w, o, "in peace", files)
	if err != nil {
		return err
	}
	end, err := f.besiege(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	siege, err := f.measure(ctx, w, o, "under siege", files)
	took := time.Since(begun).Seconds()
	stanzas, conns, lost := end()
	if err := errors.Join(err, lost); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "the siege: %.0f stanzas a second, %d idle connections, %d stalled offers; slowdown: s5b %.1fx, ibb %.1fx\n",
		float64(stanzas)/took, conns, stallers, siege["s5b"]/peace["s5b"], siege["ibb"]/peace["ibb"])
	return nil
}

func openFort(ctx context.Context, o options) (_ *fort, err error) {
	f := &fort{dir: filepath.Join(o.dir, "fort")}
	f.inbox = filepath.Join(f.dir, "inbox")
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", o.program, err)
	}
	users := []string{"romeo", "juliet", "tybalt"}
	var accounts []xmpptest.Account
	for _, u := range users {
		accounts = append(accounts, xmpptest.Account{User: u, Password: u + "-pw"})
	}
	for _, d := range append([]string{"", "inbox", "server"}, users...) {
		if err := os.Mkdir(filepath.Join(f.dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	if f.server, err = xmpptest.StartServer(ctx, filepath.Join(f.dir, "server"), xmpptest.Options{Mutual: true, Accounts: accounts}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	account := func(user string) pair.Account {
		return pair.Account{
			JID: f.server.JID(user), Password: user + "-pw", Home: filepath.Join(f.dir, user),
			Server: f.server.Addr, CAFile: f.server.CAFile, Program: program, Path: o.path,
		}
	}
	f.honest, f.attacker = account("romeo"), account("tybalt")
	if f.port, err = freePort(); err != nil {
		return nil, err
	}
	config := filepath.Join(f.dir, "fort.yaml")
	if err := os.WriteFile(config, []byte("transports: {s5b: {listen_ports: ["+f.port+"]}}\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	f.receiver, err = account("juliet").Start(config, nil, "receive", "--json", "--accept", "contacts", "--on-conflict", "overwrite", "--dir", f.inbox)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.receiver.Online():
		return f, nil
	case <-f.receiver.Done():
	case <-ctx.Done():
	}
	return nil, fmt.Errorf("%w: %s", errNotOnline, f.receiver.Stderr())
}

var errNotOnline = errors.New("the receiver is not online")

// freePort finds a port that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// close ends the receiver and the server.
func (f *fort) close() error {
	var err error
	if f.receiver != nil {
		err = f.receiver.Stop(stopTime)
	}
	return errors.Join(err, f.server.Stop())
}

// measure sends the files by their transports and returns the mean of the wall
// times.
func (f *fort) measure(ctx context.Context, w io.Writer, o options, when string, files map[string]source) (map[string]float64, error) {
	mean := map[string]float64{}
	for range o.runs {
		for _, transport := range []string{"s5b", "ibb"} {
			s, err := f.send(ctx, transport, files[transport])
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", transport, when, err)
			}
			s.what = "jetsend " + transport + " " + when
			_, _ = io.WriteString(w, s.format(files[transport].size)) // a lost line is no failure
			mean[transport] += s.wall.Seconds() / float64(o.runs)
		}
	}
	return mean, nil
}

// send is one honest transfer.
func (f *fort) send(ctx context.Context, transport string, file source) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := f.honest.Start("", nil, "send", "--json", "--transport", transport, "--no-resume", file.path, f.server.JID("juliet"))
	if err != nil {
		return sample{}, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return sample{}, errors.Join(ctx.Err(), p.Stop(stopTime))
	}
	end := p.End()
	sent := end.Find("sent")
	if end.Err != nil || sent == nil {
		return sample{}, fmt.Errorf("%w: %s", errors.Join(errNotSent, end.Err), end.Stderr)
	}
	return sample{wall: end.Took, inner: sent.Seconds, sender: end.MaxRSS}, nil
}

var errNotSent = errors.New("not sent")

// besiege begins the siege; end ends it and says what it was.
func (f *fort) besiege(ctx context.Context) (end func() (stanzas, conns int64, err error), err error) {
	file := source{filepath.Join(f.dir, "stalled.bin"), 1 << 20}
	if err := fill(file); err != nil {
		return nil, err
	}
	var crowd stalling
	defer func() {
		if err != nil {
			crowd.disband()
		}
	}()
	if err := crowd.gather(ctx, f, file); err != nil {
		return nil, err
	}
	user, _, _ := strings.Cut(f.attacker.JID, "@")
	siege, err := xmpptest.Besiege(ctx, f.server, user, f.attacker.Password, f.target(), net.JoinHostPort("127.0.0.1", f.port), xmpptest.Devices{})
	if err != nil {
		return nil, err
	}
	return func() (int64, int64, error) {
		stanzas, conns, err := siege.End()
		crowd.disband()
		return stanzas, conns, err
	}, nil
}

// stalling are processes that send a file as slowly as they may.
type stalling []*pair.Process

// gather starts them, and waits until so many have a path that all places are taken.
func (c *stalling) gather(ctx context.Context, f *fort, file source) error {
	running := make(chan struct{}, stallers)
	for range stallers {
		p, err := f.attacker.Start("", func(e pair.Event) {
			if e.Event == "negotiated" && len(running) < cap(running) {
				running <- struct{}{}
			}
		}, "send", "--json", "--limit-rate", "100", "--no-resume", file.path, f.server.JID("juliet"))
		if err != nil {
			return err
		}
		*c = append(*c, p)
	}
	for range stalled {
		select {
		case <-running:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (c *stalling) disband() {
	for _, p := range *c {
		_ = p.Stop(stopTime) // killed at the latest; its exit code means nothing here
	}
}
