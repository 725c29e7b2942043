package route

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"jetsend/internal/jingle/s5b"
	"jetsend/internal/portmap"
)

// mapTime bounds what an offer waits for the router of this network.
const mapTime = time.Second

// Prepare begins to find out what the router of this network can do, for who is about to
// make or answer an offer. It does not wait.
func (f *Finder) Prepare(opt Options) {
	if f.maps(opt.NoDirect) {
		f.router.Look()
	}
}

// maps reports whether the router is asked. Who is on this machine needs none.
func (f *Finder) maps(noDirect bool) bool {
	return f.router != nil && !noDirect && !f.cfg.Account.OverLoopback()
}

// mapper has the router lead to a port of ours; nil: it is not asked.
func (f *Finder) mapper(noDirect bool) func(context.Context, map[netip.Addr]uint16) (s5b.Mapping, error) {
	if !f.maps(noDirect) {
		return nil
	}
	return func(ctx context.Context, ports map[netip.Addr]uint16) (s5b.Mapping, error) {
		ctx, cancel := context.WithTimeout(ctx, mapTime)
		defer cancel()
		self, err := f.router.Self()
		if err != nil {
			return nil, err
		}
		port, ok := ports[self]
		if !ok {
			return nil, errors.New("nobody listens on the side of the router")
		}
		h, err := f.router.Hold(ctx, port)
		if err != nil {
			return nil, err
		}
		return mapping{h, port}, nil
	}
}

// mapping is a [s5b.Mapping].
type mapping struct {
	*portmap.Hold
	port uint16
}

// Port implements [s5b.Mapping].
func (m mapping) Port() uint16 { return m.port }
