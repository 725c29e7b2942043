package portmap

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// mapping is one port of ours at the router. A goroutine owns it from the first share to
// the deletion; the other fields are under the lock of the Keeper.
type mapping struct {
	port   uint16
	ready  chan struct{} // closed when the router has answered for the first time
	err    error         // of the first time; not changed once ready is closed
	done   chan struct{} // closed when the router has deleted it
	cancel context.CancelFunc

	users    int
	ending   bool // nobody may share it any more
	external netip.AddrPort
	how      string
}

// lease is what the owner of a mapping has of the router.
type lease struct {
	by       protocol
	gateway  netip.Addr
	self     netip.Addr
	external netip.AddrPort
	until    time.Time
	length   time.Duration
}

// own makes a mapping, renews it, and deletes it. The last mapping of the same port has to
// have ended before: the router cannot tell them apart.
func (k *Keeper) own(ctx context.Context, m, last *mapping) {
	defer m.cancel()
	defer k.over(m)
	if last != nil {
		<-last.done
	}
	l, err := k.obtain(ctx, k.find(false), m.port, m.port)
	k.mu.Lock()
	if m.err = err; err != nil {
		m.ending = true
	} else {
		m.external, m.how = l.external, l.by.name()
	}
	k.mu.Unlock()
	close(m.ready)
	if err != nil {
		k.config.Log.Debug("port not mapped", "port", m.port, "error", err)
		return
	}
	k.config.Log.Debug("port mapped", "port", m.port, "external", l.external, "by", l.by.name(), "for", l.length)
	k.keep(ctx, m, &l)
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
	defer cancel()
	if err := l.by.remove(tidy, m.port, l.external.Port()); err != nil {
		k.config.Log.Debug("mapping not deleted, it runs out", "port", m.port, "at", l.until, "error", err)
	}
}

// over lets go of a mapping that has ended.
func (k *Keeper) over(m *mapping) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[m.port] == m {
		delete(k.held, m.port)
	}
	close(m.done)
}

// keep renews a mapping until nobody holds it.
func (k *Keeper) keep(ctx context.Context, m *mapping, l *lease) {
	pause := l.length / 2
	for {
		t := time.NewTimer(max(pause, time.Second))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		next, err := k.renew(ctx, m.port, *l)
		switch {
		case ctx.Err() != nil && err != nil:
			return
		case err == nil:
			k.tell(m, next.external, next.by.name())
			*l = next
			pause = l.length / 2
			continue
		case !time.Now().Before(l.until):
			k.tell(m, netip.AddrPort{}, "")
		}
		k.config.Log.Debug("mapping not renewed", "port", m.port, "error", err)
		pause = l.length / 8
	}
}

// tell has all who hold a mapping know where it is now.
func (k *Keeper) tell(m *mapping, external netip.AddrPort, how string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if external != m.external {
		k.config.Log.Info("the router's mapping has changed", "port", m.port, "was", m.external, "is", external)
	}
	m.external, m.how = external, how
}

// renew asks for more time: in the same way, as long as that works and the router is the
// same; else in any way, as if there had been no mapping.
func (k *Keeper) renew(ctx context.Context, port uint16, l lease) (lease, error) {
	f := k.find(false)
	if f.gateway == l.gateway && f.self == l.self {
		next, err := k.request(ctx, l.by, port, l.external.Port())
		if err == nil || ctx.Err() != nil {
			next.gateway, next.self = l.gateway, l.self
			return next, err
		}
		f = k.find(true)
	}
	return k.obtain(ctx, f, port, l.external.Port())
}

// obtain asks for a mapping, by what answered first; if that refuses, by the other.
func (k *Keeper) obtain(ctx context.Context, f *finding, port, want uint16) (lease, error) {
	if err := f.wait(ctx, f.first); err != nil {
		return lease{}, err
	}
	var failed error
	tried := 0
	for _, which := range []<-chan struct{}{f.first, f.all} {
		if err := f.wait(ctx, which); err != nil {
			return lease{}, err
		}
		ways, err := f.ways()
		if err != nil {
			return lease{}, err
		}
		for _, p := range ways[min(tried, len(ways)):] {
			l, err := k.request(ctx, p, port, want)
			if err == nil {
				l.gateway, l.self = f.gateway, f.self
				return l, nil
			}
			tried++
			if failed == nil {
				failed = inWords(p.name(), err)
			} else {
				failed = fmt.Errorf("%w; %s: %w", failed, p.name(), err)
			}
		}
	}
	return lease{}, failed
}

// request asks for a mapping in one way. The router's address is asked for each time: it may
// have got another one.
func (k *Keeper) request(ctx context.Context, p protocol, port, want uint16) (lease, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	outer, err := p.external(ctx)
	if err != nil {
		return lease{}, err
	}
	if !k.isPublic(outer) {
		return lease{}, notPublic(outer)
	}
	asked := time.Now()
	got, err := p.add(ctx, port, want, k.config.Lease)
	if err != nil {
		return lease{}, err
	}
	return lease{by: p, external: netip.AddrPortFrom(outer, got.port), until: asked.Add(got.lease), length: got.lease}, nil
}
