package portmap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Bounds on how long the router is waited for.
const (
	lookTime   = 2 * time.Second        // for what it can do
	askTime    = 2 * time.Second        // for a mapping
	deleteTime = time.Second            // for the end of one
	tidyTime   = 250 * time.Millisecond // for the end of one that did not come about
)

// Bounds on a lease.
const (
	defaultLease = 2 * time.Minute
	maxLease     = time.Hour // a longer one is not what was asked for
)

// keepFinding is how long what was found is believed; lookAgain is how soon after the last
// look there may be another one, when the router does not do what it could.
const (
	keepFinding = 10 * time.Minute
	lookAgain   = 5 * time.Second
)

var (
	// ErrNoRouter says that there is no router that maps ports for us. Use errors.Is; the
	// text of the error says why.
	ErrNoRouter = errors.New("no router that maps ports")
	// ErrNotPublic says that the router is not on the Internet itself, so that a mapping of it
	// leads nowhere. Use errors.Is.
	ErrNotPublic = errors.New("the router's own address is not public")
)

// reason is an error of one of the kinds above, in words of its own.
type reason struct {
	kind error
	text string
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.kind }

// protocol is a way to ask the router.
type protocol interface {
	// name is what it is called in the log.
	name() string
	// external asks for the router's own address.
	external(ctx context.Context) (netip.Addr, error)
	// add asks for a mapping of TCP, with this external port or another one, or for more time
	// for one that there is. Where it fails it leaves no mapping behind.
	add(ctx context.Context, internal, external uint16, lease time.Duration) (grant, error)
	// remove asks for the end of a mapping.
	remove(ctx context.Context, internal, external uint16) error
}

// grant is what a router gave.
type grant struct {
	port  uint16
	lease time.Duration
}

// check refuses what is not of the kind that was asked for.
func (g grant) check(asked uint16) error {
	switch {
	case g.port == 0 || g.port < 1024 && asked >= 1024:
		return fmt.Errorf("the router gives port %d, which is not used", g.port)
	case g.lease <= 0 || g.lease > maxLease:
		return fmt.Errorf("the router gives the port for %s, which is not what was asked", g.lease)
	}
	return nil
}

// ask finds out whether a router can be asked in one of the ways.
type ask func(ctx context.Context) (protocol, netip.Addr, error)

// finding is what a look at the router finds, while it is looked and after.
type finding struct {
	gateway, self netip.Addr
	begun         time.Time
	isPublic      func(netip.Addr) bool
	first         chan struct{} // closed when one way will do, or none
	all           chan struct{} // closed when all ways have been tried

	mu     sync.Mutex
	usable []protocol
	how    []string
	outer  netip.Addr // the router's own address
	why    []string   // for the ways that will not do
	silent int        // how many of them are not there at all
	early  error      // for which nobody was asked
	over   bool       // first is closed
}

// none is a look that found out before it began.
func none(err error) *finding {
	f := &finding{first: make(chan struct{}), all: make(chan struct{}), early: &reason{ErrNoRouter, err.Error()}}
	close(f.first)
	close(f.all)
	return f
}

// look tries all ways side by side.
func (f *finding) look(ctx context.Context, asks []ask) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range asks {
		all.Go(func() {
			p, outer, err := a(ctx)
			f.add(p, outer, err)
		})
	}
	all.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found()
	close(f.all)
}

// add takes what was found in one way.
func (f *finding) add(p protocol, outer netip.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case errors.Is(err, errNoNATPMP) || errors.Is(err, errNoUPnP):
		f.silent++
	case errors.Is(err, context.DeadlineExceeded):
		f.silent++
	case err != nil:
		f.why = append(f.why, err.Error())
	case !f.isPublic(outer):
		if !f.outer.IsValid() {
			f.outer = outer
		}
	default:
		f.outer = outer
		f.usable = append(f.usable, p)
		f.how = append(f.how, p.name())
		f.found()
	}
}

// found says that a way will do, or that none does.
func (f *finding) found() {
	if !f.over {
		f.over = true
		close(f.first)
	}
}

// fresh reports whether it is still believed.
func (f *finding) fresh(gateway, self netip.Addr, now time.Time) bool {
	return f != nil && f.gateway == gateway && f.self == self && now.Sub(f.begun) < keepFinding
}

// wait waits until one way will do, or for all.
func (f *finding) wait(ctx context.Context, what <-chan struct{}) error {
	select {
	case <-what:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ways returns how the router can be asked, the quickest first, and why it cannot.
func (f *finding) ways() ([]protocol, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.early != nil:
		return nil, f.early
	case len(f.usable) > 0:
		return f.usable[:len(f.usable):len(f.usable)], nil
	case f.outer.IsValid():
		return nil, notPublic(f.outer)
	case len(f.why) == 0:
		return nil, &reason{ErrNoRouter, fmt.Sprintf("the router %s answers neither NAT-PMP nor UPnP", f.gateway)}
	}
	text := fmt.Sprintf("the router %s maps no ports: %s", f.gateway, f.why[0])
	for _, w := range f.why[1:] {
		text += "; " + w
	}
	return nil, &reason{ErrNoRouter, text}
}

// notPublic is the error of a router behind another one.
func notPublic(outer netip.Addr) error {
	return &reason{ErrNotPublic, fmt.Sprintf("the router's own address %s is not public: there is another router behind it", outer)}
}

// asks are the ways in which a router is asked.
func (k *Keeper) asks(gateway, self netip.Addr) []ask {
	pmp := &natPMP{router: netip.AddrPortFrom(gateway, k.config.Fake.port(natPMPPort)), log: k.config.Log}
	search := netip.AddrPortFrom(gateway, k.config.Fake.port(ssdpPort))
	return []ask{
		func(ctx context.Context) (protocol, netip.Addr, error) {
			outer, err := pmp.external(ctx)
			return pmp, outer, inWords("NAT-PMP", err)
		},
		func(ctx context.Context) (protocol, netip.Addr, error) {
			p, outer, err := askUPnP(ctx, self, search, k.config.Fake == nil, k.isPublic)
			return p, outer, inWords("UPnP", err)
		},
	}
}

// inWords says which way an error is of.
func inWords(way string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", way, err)
}

// askUPnP searches for the router and takes the first of its services that has a public
// address, or that has one at all.
func askUPnP(ctx context.Context, self netip.Addr, router netip.AddrPort, group bool, isPublic func(netip.Addr) bool) (protocol, netip.Addr, error) {
	controls, err := searchUPnP(ctx, self, router, group)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	var best protocol
	var outer netip.Addr
	for _, c := range controls {
		g := newIGD(self, router.Addr(), c)
		a, e := g.external(ctx)
		switch {
		case e != nil:
			err = e
		case isPublic(a):
			return g, a, nil
		case best == nil:
			best, outer = g, a
		}
	}
	if best != nil {
		return best, outer, nil
	}
	return nil, netip.Addr{}, err
}
