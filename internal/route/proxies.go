package route

import (
	"context"
	"encoding/json"
	"fmt"
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
	// knownFor is how long the surroundings of a login are what the next one begins with.
	knownFor = 24 * time.Hour
)

// surroundings are what our server and configuration have to help us reach others.
type surroundings struct {
	proxies []s5b.Proxy
	stun    []string   // host:port of who can say by which address we are seen
	seen    netip.Addr // by which the server sees us; not valid when it does not say so
	large   bool       // the server is known to be quicker with large in-band blocks
}

// Known keeps the surroundings of the logins before, as that of package session does.
type Known interface {
	Get(ctx context.Context, name string, age time.Duration) (value []byte, ok bool)
	Put(ctx context.Context, name string, value []byte)
}

// told are surroundings as they are kept.
type told struct {
	Proxies []toldProxy
	STUN    []string
	Large   bool
}

type toldProxy struct {
	JID        string
	Host       string
	Port       int
	Configured bool
}

// knownAs is by what name surroundings are kept: those of another configuration are others.
func (f *Finder) knownAs() string {
	c := f.cfg.S5B
	return fmt.Sprintf("surroundings %q %q %t", c.Proxies, c.STUN, f.cfg.Account.Proxied())
}

// known are the surroundings of a login not long ago. They are good enough to begin with:
// what is no longer there costs one candidate, and is searched again meanwhile.
func (f *Finder) known(ctx context.Context) (s surroundings, ok bool) {
	if f.cfg.Known == nil {
		return s, false
	}
	text, ok := f.cfg.Known.Get(ctx, f.knownAs(), knownFor)
	var t told
	if !ok || json.Unmarshal(text, &t) != nil {
		return s, false
	}
	s = surroundings{stun: t.STUN, large: t.Large}
	for _, p := range t.Proxies {
		j, err := jid.Parse(p.JID)
		if err != nil {
			return s, false
		}
		s.proxies = append(s.proxies, s5b.Proxy{JID: j, Host: p.Host, Port: p.Port, Configured: p.Configured})
	}
	return s, true
}

// keep has the next login know them.
func (f *Finder) keep(ctx context.Context, s surroundings) {
	if f.cfg.Known == nil {
		return
	}
	t := told{STUN: s.stun, Large: s.large} // not where we were seen: this may be another network
	for _, p := range s.proxies {
		t.Proxies = append(t.Proxies, toldProxy{p.JID.String(), p.Host, p.Port, p.Configured})
	}
	if text, err := json.Marshal(t); err == nil {
		f.cfg.Known.Put(ctx, f.knownAs(), text)
	}
}

// proxies search the surroundings, of which the proxies are what most have.
type proxies struct {
	search   func(context.Context) (surroundings, error)
	before   func(context.Context) (surroundings, bool) // what an earlier search found; may be nil
	found    chan struct{}                              // closed after the first search, or when there is something known before it
	searched chan struct{}                              // closed after the first search
	again    chan struct{}                              // capacity 1: there may be others now

	stop context.CancelFunc // of find
	done sync.WaitGroup

	mu   sync.Mutex
	list surroundings // of the latest search that went well, or of the first one
}

func newProxies(search func(context.Context) (surroundings, error)) *proxies {
	return &proxies{search: search, found: make(chan struct{}), searched: make(chan struct{}), again: make(chan struct{}, 1), stop: func() {}}
}

// find searches until ctx ends: after a login, for a server that was away may have
// come back with others, and after a search that failed.
func (p *proxies) find(ctx context.Context) {
	known := p.begin(ctx)
	for first := true; ; first = false {
		list, err := p.search(ctx)
		var failed <-chan time.Time
		if err != nil {
			failed = time.After(proxyPause)
		}
		if first && !known || err == nil {
			p.mu.Lock()
			p.list = list
			p.mu.Unlock()
		}
		if first {
			close(p.searched)
			if !known {
				close(p.found)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-p.again:
		case <-failed:
		}
	}
}

// begin takes what is known from before for the first search, if anything is.
func (p *proxies) begin(ctx context.Context) bool {
	if p.before == nil {
		return false
	}
	list, ok := p.before(ctx)
	if ok {
		p.mu.Lock()
		p.list = list
		p.mu.Unlock()
		close(p.found)
	}
	return ok
}

// known are those found so far, with a little patience.
func (p *proxies) known(ctx context.Context) surroundings { return p.after(ctx, p.found) }

// fresh are those that this login has found, with a little patience.
func (p *proxies) fresh(ctx context.Context) surroundings { return p.after(ctx, p.searched) }

func (p *proxies) after(ctx context.Context, found <-chan struct{}) surroundings {
	late := time.NewTimer(proxyWait)
	defer late.Stop()
	select {
	case <-found:
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
func (f *Finder) Proxies(ctx context.Context) []s5b.Proxy { return f.proxies.fresh(ctx).proxies }

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
	f.external.forgive()
	var beside sync.WaitGroup
	if !f.cfg.Account.Proxied() { // else nobody is to know where we are, we included
		beside.Go(func() { found.stun = f.services(ctx, server) })
		beside.Go(func() { found.seen = f.seen(ctx, server) })
	}
	beside.Go(func() { found.large = f.likesLarge(ctx, server) })
	found.proxies, err = s5b.FindProxies(ctx, f.cfg.Account, server, f.cfg.S5B.Proxies, f.cfg.Log)
	beside.Wait()
	if err != nil && ctx.Err() == nil {
		f.cfg.Log.Warn("search for proxies", "error", err)
	}
	if err == nil {
		f.keep(ctx, found)
	}
	return found, err
}
