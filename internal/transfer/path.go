package transfer

import (
	"context"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
)

// proxyWait is how long an offer waits for the search of a login to end.
const proxyWait = 3 * time.Second

// proxyPause is how long after a search that failed there is another one.
const proxyPause = time.Minute

// proxies are the SOCKS5 proxies of our server and configuration.
type proxies struct {
	found chan struct{} // closed after the first search
	again chan struct{} // capacity 1: there may be others now

	mu   sync.Mutex
	list []s5b.Proxy // of the latest search that went well, or of the first one
}

func newProxies() *proxies {
	return &proxies{found: make(chan struct{}), again: make(chan struct{}, 1)}
}

// find searches until ctx ends: after a login, for a server that was away may have
// come back with others, and after a search that failed.
func (p *proxies) find(ctx context.Context, search func(context.Context) ([]s5b.Proxy, error)) {
	for first := true; ; first = false {
		list, err := search(ctx)
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

// search has find search again.
func (p *proxies) search() {
	select {
	case p.again <- struct{}{}:
	default: // it will
	}
}

// searchProxies is one search.
func (e *Endpoint) searchProxies(ctx context.Context) ([]s5b.Proxy, error) {
	server, err := jid.Parse(e.sess.JID().Domain())
	if err != nil {
		return nil, err
	}
	list, err := s5b.FindProxies(ctx, e.sess, server, e.cfg.S5B.Proxies, e.log)
	if err != nil && ctx.Err() == nil {
		e.log.Warn("search for proxies", "error", err)
	}
	return list, err
}

// ownProxies are those found so far, with a little patience.
func (e *Endpoint) ownProxies(ctx context.Context) []s5b.Proxy {
	late := time.NewTimer(proxyWait)
	defer late.Stop()
	select {
	case <-e.proxies.found:
		e.proxies.mu.Lock()
		defer e.proxies.mu.Unlock()
		return e.proxies.list // replaced, never changed
	case <-late.C:
	case <-ctx.Done():
	}
	return nil
}

// s5bConfig says what may be offered and dialled for one file. It is dialled the
// way that the server is: what that hides, a bytestream must not show.
func (e *Endpoint) s5bConfig(ctx context.Context, noDirect bool) s5b.Config {
	return s5b.Config{
		Proxies: e.ownProxies(ctx), Port: e.sess,
		ListenPorts: e.cfg.S5B.ListenPorts, Ports: &e.ports, Advertise: e.cfg.S5B.Advertise, Interfaces: e.cfg.S5B.Interfaces,
		NoDirect: noDirect, Quick: e.cfg.Quick, AllowLoopback: e.sess.OverLoopback(), Dial: e.sess.Dial, Proxied: e.sess.Proxied(), Log: e.log,
	}
}

// during returns a context that ends with the session or the loss of our own
// stream, so that nothing is negotiated that nobody hears.
func (e *Endpoint) during(ctx context.Context, s *jingle.Session) (context.Context, context.CancelCauseFunc) {
	return e.with(ctx, s, nil, e.sess.Lost())
}

// streaming returns a context that ends with the session, so that a bytestream
// does not outlive what was agreed about it. A socket of its own needs no stream
// to the server.
func (e *Endpoint) streaming(ctx context.Context, s *jingle.Session, path *bytestream) (context.Context, context.CancelCauseFunc) {
	lost := e.sess.Done()
	if path.transport == IBB {
		lost = e.sess.Lost()
	}
	return e.with(ctx, s, path, lost)
}

// with returns a context that ends with the session, for the reason errEnded, or
// with lost. What path has under way when a receiver says success is given time.
func (e *Endpoint) with(ctx context.Context, s *jingle.Session, path *bytestream, lost <-chan struct{}) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.tasks.Go(func() { // ends with the context, which its caller always cancels
		var late <-chan time.Time
		ended := s.Done()
		for {
			select {
			case <-ended:
				if !path.settling(s) {
					cancel(errEnded)
					return
				}
				ended = nil // never ready again
				t := time.NewTimer(lateAcks)
				defer t.Stop()
				late = t.C
			case <-late:
				cancel(errEnded)
				return
			case <-lost:
				cancel(errStreamLost)
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, cancel
}

func deviceInfos(devices []omemo.Device) []DeviceInfo {
	out := make([]DeviceInfo, 0, len(devices))
	for _, d := range devices {
		out = append(out, deviceInfo(d))
	}
	return out
}

func deviceInfo(d omemo.Device) DeviceInfo {
	return DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), New: d.New}
}
