package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

// world is what all rounds share: the server and its accounts.
type world struct {
	dir, program, path string
	software           xmpptest.Software

	server  *xmpptest.Server
	restart sync.Mutex // held while the server is away on purpose
	couples int
	last    *couple
}

// couple is two subscribed accounts on a machine each.
type couple struct{ accounts map[end]pair.Account }

func openWorld(ctx context.Context, dir string, o options) (*world, error) {
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", o.program, err)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find jetsend: %w", err)
	}
	w := &world{dir: dir, program: program, path: o.path, software: xmpptest.Software(o.server)}
	home := filepath.Join(dir, "server")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	w.server, err = xmpptest.StartServer(ctx, home, xmpptest.Options{Software: w.software})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// close ends the server. Nobody is left to say goodbye to.
func (w *world) close() { w.server.Kill() }

// couple returns the accounts for a round.
func (w *world) couple(ctx context.Context, fresh bool) (*couple, error) {
	if w.last != nil && !fresh {
		return w.last, nil
	}
	w.couples++
	c := &couple{accounts: map[end]pair.Account{}}
	var users []string
	for _, e := range []end{sender, receiver} {
		user := fmt.Sprintf("%s%d", e, w.couples)
		users = append(users, user)
		a := pair.Account{
			JID: w.server.JID(user), Password: user + "-pw", Home: filepath.Join(w.dir, user),
			CAFile: w.server.CAFile, Program: w.program, Path: w.path,
		}
		if err := errors.Join(os.Mkdir(a.Home, 0o700), w.server.AddAccount(user, a.Password)); err != nil {
			return nil, fmt.Errorf("make account %s: %w", user, err)
		}
		c.accounts[e] = a
	}
	if err := w.server.Subscribe(users[0], users[1]); err != nil {
		return nil, err
	}
	if w.software == xmpptest.Ejabberd {
		// Ejabberd has forgotten what it was told in the seconds before a kill:
		// its database writes late. Stopped in order it keeps the accounts.
		if err := w.server.Restart(ctx); err != nil {
			return nil, err
		}
	}
	w.last = c
	return c, nil
}

// bounce kills the server and starts it again when away is over. A caller that comes
// while it is away waits, and finds it running.
func (w *world) bounce(ctx context.Context, away func()) error {
	w.restart.Lock()
	defer w.restart.Unlock()
	w.server.Kill()
	away()
	if err := w.server.Restart(ctx); err != nil {
		return fmt.Errorf("start the server again: %w", err)
	}
	return nil
}
