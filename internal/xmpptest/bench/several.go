package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

// contacts is to how many a file is sent.
const contacts = 4

// crowd is a server with an account that sends and some that receive.
type crowd struct {
	server *xmpptest.Server
	sender pair.Account
	others []pair.Account
}

// toSeveral sends a file to several contacts, by one command, and by one for each at the same time.
func (g *goals) toSeveral(ctx context.Context) (err error) {
	dir := filepath.Join(g.dir, "several")
	file := source{filepath.Join(dir, "large.bin"), g.size}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := fill(file); err != nil {
		return err
	}
	c, err := g.gather(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.server.Stop(), os.RemoveAll(dir)) }()
	one := []string{"send", file.path}
	var each [][]string
	for _, o := range c.others {
		one = append(one, "--to", o.JID)
		each = append(each, []string{"send", file.path, o.JID})
	}
	s, err := g.compete(ctx, rival{"one command", c.run(one)}, rival{"one for each", c.run(each...)})
	if err != nil {
		return err
	}
	g.say("%d bytes to %d contacts: %.2f s by one command, %.2f s by %d at the same time", g.size, contacts, s[0], s[1], contacts)
	return nil
}

// gather starts a server with all accounts, who know each other.
func (g *goals) gather(ctx context.Context, dir string) (c *crowd, err error) {
	program, err := filepath.Abs(g.program)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", g.program, err)
	}
	account := func(user string) pair.Account {
		return pair.Account{Password: user + "-pw", Home: filepath.Join(dir, user), Program: program, Path: g.path}
	}
	all := []pair.Account{account("sender")}
	named := []xmpptest.Account{{User: "sender", Password: "sender-pw"}}
	for i := range contacts {
		user := fmt.Sprint("contact", i)
		all, named = append(all, account(user)), append(named, xmpptest.Account{User: user, Password: user + "-pw"})
	}
	server := filepath.Join(dir, "server")
	err = os.Mkdir(server, 0o700)
	for _, a := range all {
		err = errors.Join(err, os.Mkdir(a.Home, 0o700))
	}
	if err != nil {
		return nil, fmt.Errorf("make directories: %w", err)
	}
	s, err := xmpptest.StartServer(ctx, server, xmpptest.Options{Mutual: true, Accounts: named})
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].JID, all[i].Server, all[i].CAFile = s.JID(named[i].User), s.Addr, s.CAFile
	}
	return &crowd{s, all[0], all[1:]}, nil
}

// run has everybody receive one file, and returns how long the commands took together.
func (c *crowd) run(commands ...[]string) func(context.Context, string) (time.Duration, error) {
	return func(ctx context.Context, into string) (took time.Duration, err error) {
		receivers, err := c.receive(ctx, into)
		defer func() { kill(receivers) }()
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		var senders []*pair.Process
		defer func() { kill(senders) }()
		for _, args := range commands {
			p, err := c.sender.Start("", nil, append([]string{"--json"}, args...)...)
			if err != nil {
				return 0, err
			}
			senders = append(senders, p)
		}
		if err := wellEnded(ctx, senders); err != nil {
			return 0, err
		}
		took = time.Since(begun)
		return took, wellEnded(ctx, receivers)
	}
}

// receive starts all receivers, and waits until they are online.
func (c *crowd) receive(ctx context.Context, into string) (all []*pair.Process, err error) {
	for i, o := range c.others {
		inbox := filepath.Join(into, fmt.Sprint(i))
		if err := os.Mkdir(inbox, 0o700); err != nil {
			return all, fmt.Errorf("make directory: %w", err)
		}
		p, err := o.Start("", nil, "--json", "receive", "--once", "--accept", "all", "--dir", inbox)
		if err != nil {
			return all, err
		}
		all = append(all, p)
		select {
		case <-p.Online():
		case <-p.Done():
			return all, fmt.Errorf("a receiver has ended: %s", p.Stderr())
		case <-ctx.Done():
			return all, context.Cause(ctx)
		}
	}
	return all, nil
}

func kill(all []*pair.Process) {
	for _, p := range all {
		p.Kill()
	}
}

// wellEnded waits until all have ended, each with 0.
func wellEnded(ctx context.Context, all []*pair.Process) error {
	for _, p := range all {
		select {
		case <-p.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if code := p.ExitCode(); code != 0 {
			return fmt.Errorf("%v ended with %d: %s", p.Args(), code, p.Stderr())
		}
	}
	return nil
}
