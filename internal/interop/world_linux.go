package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// rig is what all cells share. One goroutine runs them, one after the other.
type rig struct {
	enclosure
	shim, seed string // made when the first Dino is wanted
	desktops   int    // how many there were: each gets an address of its own
	files      int    // likewise
	say        func(format string, args ...any)
}

// world is a running server and the clients that cells have left running for
// the next ones. A cell that fails takes them all down, so that none of them
// can spoil another cell.
type world struct {
	*server
	rig   *rig
	users int

	open     []func()             // undo what the cells left, last first
	kept     []string             // logs of the clients, for when a cell fails
	shared   *pair                // for cells that only pass files between jetsend and Dino
	together *couple              // for cells that only pass files between two Dinos
	plain    map[string]plainPair // by client: for cells without encryption
}

// pair is a Dino and a jetsend account in each other's rosters.
type pair struct {
	dino *desktop
	jet  *account
}

// couple is two Dinos that know each other and have exchanged a message.
type couple struct{ a, b *desktop }

// cleanUp ends what the cells left running.
func (w *world) cleanUp() {
	for i := len(w.open) - 1; i >= 0; i-- {
		w.open[i]()
	}
	w.open, w.kept, w.shared, w.together, w.plain = nil, nil, nil, nil, nil
}

// newUser makes an account with a name that nobody had.
func (w *world) newUser(ctx context.Context, prefix string) (string, error) {
	w.users++
	user := fmt.Sprintf("%s%d", prefix, w.users)
	if err := w.addUser(ctx, user, passwordOf(user)); err != nil {
		return "", fmt.Errorf("make account %s: %w", user, err)
	}
	return user, nil
}

// newFriends makes two accounts with a mutual subscription.
func (w *world) newFriends(ctx context.Context, first, second string) (a, b string, err error) {
	if a, err = w.newUser(ctx, first); err != nil {
		return "", "", err
	}
	if b, err = w.newUser(ctx, second); err != nil {
		return "", "", err
	}
	if err := w.befriend(ctx, a, b); err != nil {
		return "", "", fmt.Errorf("befriend %s and %s: %w", a, b, err)
	}
	return a, b, nil
}

// newDesktop makes a Dino that was never online, with an open conversation with
// peer. It is not started.
func (w *world) newDesktop(ctx context.Context, user, peer string) (*desktop, error) {
	w.rig.desktops++
	d := &desktop{
		user: user, peer: peer, server: w.server,
		dir:     filepath.Join(base, fmt.Sprintf("d%d", w.rig.desktops)),
		address: fmt.Sprintf("127.0.%d.%d", 1+w.rig.desktops/200, 1+w.rig.desktops%200),
	}
	var err error
	if w.rig.shim == "" {
		if w.rig.shim, err = buildShim(ctx); err != nil {
			return nil, err
		}
	}
	d.shim = w.rig.shim
	w.open = append(w.open, d.close)
	w.kept = append(w.kept, d.logPath())
	if err := openDesktop(d); err != nil {
		return nil, err
	}
	if w.rig.seed == "" {
		seed := filepath.Join(base, "seed.db")
		if err := seedDatabase(ctx, d, seed); err != nil {
			return nil, fmt.Errorf("make an empty Dino: %w", err)
		}
		w.rig.seed = seed
	}
	return d, d.enroll(ctx, w.rig.seed)
}

// newPair makes a fresh Dino, not started, and a fresh account for jetsend.
func (w *world) newPair(ctx context.Context) (*pair, error) {
	user, peer, err := w.newFriends(ctx, "romeo", "juliet")
	if err != nil {
		return nil, err
	}
	d, err := w.newDesktop(ctx, user, peer)
	if err != nil {
		return nil, err
	}
	return &pair{dino: d, jet: w.newAccount(peer)}, nil
}

// sharedPair returns the pair that cells share, with Dino running.
func (w *world) sharedPair(ctx context.Context) (*pair, error) {
	if w.shared != nil {
		return w.shared, nil
	}
	p, err := w.newPair(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.dino.start(ctx); err != nil {
		return nil, err
	}
	w.shared = p
	return p, nil
}

// sharedCouple returns the two Dinos that cells share, running and with OMEMO
// sessions: Dino encrypts no file before it has encrypted a message.
func (w *world) sharedCouple(ctx context.Context) (*couple, error) {
	if w.together != nil {
		return w.together, nil
	}
	user, peer, err := w.newFriends(ctx, "romeo", "nurse")
	if err != nil {
		return nil, err
	}
	c := &couple{}
	if c.a, err = w.newDesktop(ctx, user, peer); err != nil {
		return nil, err
	}
	if c.b, err = w.newDesktop(ctx, peer, user); err != nil {
		return nil, err
	}
	for _, d := range []*desktop{c.a, c.b} {
		if err := d.start(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.getAcquainted(ctx); err != nil {
		return nil, err
	}
	w.together = c
	return c, nil
}

// maxHellos is how often a message is typed: Dino gives one up for good that is
// typed before it has the other's keys.
const maxHellos = 3

// getAcquainted has the one type a message and waits until both have sessions.
func (c *couple) getAcquainted(ctx context.Context) (err error) {
	for range maxHellos {
		if err := c.a.say(ctx, "hello"); err != nil {
			return err
		}
		err = poll(ctx, dinoTimeout/maxHellos, "wait for Dino's OMEMO sessions", func(ctx context.Context) (bool, error) {
			there, err := c.a.sessionsWith(ctx, c.b.bareJID(), 0)
			if err != nil || there == 0 {
				return false, err
			}
			back, err := c.b.sessionsWith(ctx, c.a.bareJID(), 0)
			return back > 0, err
		})
		if err == nil {
			return nil
		}
	}
	return err
}

// plainPair is a client without encryption and a jetsend account in each other's
// rosters.
type plainPair struct {
	libervia *libervia // one of the two
	gajim    *gajim
	jet      *account
}

// sharedLibervia returns the Libervia that cells share, online, and the account
// of its contact.
func (w *world) sharedLibervia(ctx context.Context) (*libervia, *account, error) {
	if p, there := w.plain[clientLibervia]; there {
		return p.libervia, p.jet, nil
	}
	user, peer, err := w.newFriends(ctx, "benvolio", "juliet")
	if err != nil {
		return nil, nil, err
	}
	l := &libervia{user: user, server: w.server, dir: filepath.Join(base, w.kind.name, user)}
	w.open = append(w.open, l.close)
	w.kept = append(w.kept, l.logPath(), l.cliLog(), filepath.Join(l.dir, "backend.log"))
	if err := l.start(ctx); err != nil {
		return nil, nil, err
	}
	return l, w.keepPlain(clientLibervia, plainPair{libervia: l, jet: w.newAccount(peer)}), nil
}

// sharedGajim returns the Gajim that cells share, online, and the account of its
// contact.
func (w *world) sharedGajim(ctx context.Context) (*gajim, *account, error) {
	if p, there := w.plain[clientGajim]; there {
		return p.gajim, p.jet, nil
	}
	user, peer, err := w.newFriends(ctx, "mercutio", "juliet")
	if err != nil {
		return nil, nil, err
	}
	g := &gajim{user: user, server: w.server, dir: filepath.Join(base, w.kind.name, user)}
	w.open = append(w.open, g.close)
	w.kept = append(w.kept, g.logPath())
	if err := g.start(ctx); err != nil {
		return nil, nil, err
	}
	return g, w.keepPlain(clientGajim, plainPair{gajim: g, jet: w.newAccount(peer)}), nil
}

func (w *world) keepPlain(client string, p plainPair) *account {
	if w.plain == nil {
		w.plain = map[string]plainPair{}
	}
	w.plain[client] = p
	return p.jet
}

// newFile writes a file of random bytes with a name that nobody had.
func (r *rig) newFile(size int) (path string, content []byte, err error) {
	r.files++
	path = filepath.Join(base, fmt.Sprintf("f%d.bin", r.files))
	content = make([]byte, size)
	_, _ = rand.Read(content) // never fails, see crypto/rand.Read
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return "", nil, fmt.Errorf("write file to send: %w", err)
	}
	return path, content, nil
}

// saveLogs copies the logs of a cell that failed out of the enclosure.
func (w *world) saveLogs(id string) error {
	if w.rig.logs == nil {
		return nil
	}
	var errs error
	for _, path := range append(append([]string{}, w.logs...), w.kept...) {
		rel, err := filepath.Rel(base, path)
		if err != nil {
			return fmt.Errorf("name log: %w", err)
		}
		errs = errors.Join(errs, w.rig.copyOut(path, filepath.Join(id, rel)))
	}
	return errs
}

func (r *rig) copyOut(path, name string) error {
	in, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // that program did not get so far
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = in.Close() }()
	if err := r.logs.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make directory for logs: %w", err)
	}
	out, err := r.logs.Create(name)
	if err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// since returns the time passed, for notes.
func since(start time.Time) string {
	return time.Since(start).Round(10 * time.Millisecond).String()
}
