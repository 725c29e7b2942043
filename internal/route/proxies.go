package route

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/jingle/s5b"
)

const (
	// proxyWait is how long an offer waits for the search of a login to end.
	proxyWait = 3 * time.Second
	// proxyPause is how long after a search that failed there is another one.
	proxyPause = time.Minute
)

// surroundings are what our server and configuration have to help us reach others.
type surroundings struct {
	proxies []s5b.Proxy
	stun    []string   // host:port of who can say by which address we are seen
	seen    netip.Addr // by which the server sees us; not valid when it does not say so
}

// proxies search the surroundings, of which the proxies are what most have.
type proxies struct {
	search func(context.Context) (surroundings, error)
	found  chan struct{} // closed after the first search
	again  chan struct{} // capacity 1: there may be others now

	stop context.CancelFunc // of find
	done sync.WaitGroup

	mu   sync.Mutex
	list surroundings // of the latest search that went well, or of the first one
}

func newProxies(search func(context.Context) (surroundings, error)) *proxies {
	return &proxies{search: search, found: make(chan struct{}), again: make(chan struct{}, 1), stop: func() {}}
}

// find searches until ctx ends: after a login, for a server that was away may have
// come back with others, and after a search that failed.
func (p *proxies) find(ctx context.Context) {
	for first := true; ; first = false {
		list, err := p.search(ctx)
		var failed <-chan time.Time
		if err != nil {
			failed = time.After(proxyPause)
		}
		if first || err == nil {
			p.mu.Lock()
			p.list = list
			p.mu.Unlock()
		}
		if first {
			close(p.found)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.again:
		case <-failed:
		}
	}
}

// known are those found so far, with a little patience.
func (p *proxies) known(ctx context.Context) surroundings {
	late := time.NewTimer(proxyWait)
	defer late.Stop()
	select {
	case <-p.found:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.list // replaced, never changed
	case <-late.C:
	case <-ctx.Done():
	}
	return surroundings{}
}

// Start searches the proxies of our server and configuration, once and whenever they
// may have changed, until [Finder.Close]. The account must be online.
func (f *Finder) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.proxies.stop = cancel
	f.proxies.done.Go(func() { f.proxies.find(ctx) })
}

// SearchAgain has the proxies searched again, as after a new login. It does not wait.
func (f *Finder) SearchAgain() {
	select {
	case f.proxies.again <- struct{}{}:
	default: // it will
	}
}

// Proxies returns the proxies found so far. For the first search it waits a little.
// The list must not be changed.
func (f *Finder) Proxies(ctx context.Context) []s5b.Proxy { return f.proxies.known(ctx).proxies }

// Close ends the search, and what the router does for us. Routes that were made stay.
func (f *Finder) Close() {
	f.proxies.stop()
	f.proxies.done.Wait()
	if f.router != nil {
		f.router.Close()
	}
}

func (f *Finder) search(ctx context.Context) (found surroundings, err error) {
	server, err := jid.Parse(f.cfg.Account.JID().Domain())
	if err != nil {
		return found, err
	}
	var beside sync.WaitGroup
	if !f.cfg.Account.Proxied() { // else nobody is to know where we are, we included
		beside.Go(func() { found.stun = f.services(ctx, server) })
		beside.Go(func() { found.seen = f.seen(ctx, server) })
	}
	found.proxies, err = s5b.FindProxies(ctx, f.cfg.Account, server, f.cfg.S5B.Proxies, f.cfg.Log)
	beside.Wait()
	if err != nil && ctx.Err() == nil {
		f.cfg.Log.Warn("search for proxies", "error", err)
	}
	return found, err
}
