package route

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"jetsend/internal/ipaddr"
	"jetsend/internal/jid"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/percontact"
	"jetsend/internal/stanza"
	"jetsend/internal/stun"
	"jetsend/internal/xmltree"
)

const (
	nsServices = "urn:xmpp:extdisco:2" // XEP-0215
	nsSeen     = "urn:xmpp:sic:1"      // XEP-0279
	// askTime bounds a question to the server about where we are.
	// It is less than an offer waits for the proxies.
	askTime = 2 * time.Second
	// reflectTime bounds what an offer waits for word of where its port is seen.
	reflectTime = 2 * time.Second
	// maxReflectors bounds who is asked for it.
	maxReflectors = 2
	// silentFor is how long who did not answer is not asked again.
	silentFor = 10 * time.Minute
	// minReflected is the lowest port that is told: nobody dials a lower one.
	minReflected = 1024
	// stunPort is where a service listens that names no port (RFC 8489, section 8.1).
	stunPort = 3478

	// maxPunches bounds what one contact can make us dial in the middle, in a minute.
	maxPunches = 60
	// maxMeters bounds the contacts with an account of their own.
	maxMeters = 256
)

// external finds out where a port of ours is seen outside.
type external struct {
	mu     sync.Mutex
	silent map[string]time.Time // who did not answer, and when
	meters percontact.Table[meter]
}

// meter counts what a contact has made us dial.
type meter struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

// spend reports whether there may be one more.
func (m *meter) spend(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.since) > time.Minute {
		m.since, m.n = now, 0
	}
	m.n++
	return m.n <= maxPunches
}

// idle reports whether it is like a new one.
func (m *meter) idle(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Sub(m.since) > time.Minute
}

// punching is how a peer, which is a jetsend, is met; nil: it is not. peers is what it has
// told. Who is on this machine is reached without, and a network that is not the system's has
// no routers.
func (f *Finder) punching(around surroundings, peer jid.JID, peers *Punch) *s5b.Punching {
	if f.cfg.Account.OverLoopback() || f.cfg.Account.Proxied() || f.cfg.Listen != nil {
		return nil
	}
	m := f.external.meters.Account(peer.Bare(), maxMeters, func() *meter { return &meter{} }, func(m *meter) bool { return m.idle(time.Now()) })
	return &s5b.Punching{
		Peer:  peers,
		Allow: func() bool { return m.spend(time.Now()) },
		External: func(ctx context.Context, port uint16, dial dialAt) netip.AddrPort {
			if at := f.reflected(ctx, around.stun, 1, dial); len(at) > 0 {
				return at[0]
			}
			seen := f.proxies.fresh(ctx).seen
			if !seen.IsValid() {
				return netip.AddrPort{}
			}
			return netip.AddrPortFrom(seen, port) // most routers leave the port as it is
		},
	}
}

// dialAt connects from the port of a punch.
type dialAt = func(ctx context.Context, at netip.AddrPort) (net.Conn, error)

// reflected asks the services, side by side, where the port is seen, and returns the first
// answers that everybody can reach, most of them at the most.
func (f *Finder) reflected(ctx context.Context, services []string, most int, dial dialAt) (seen []netip.AddrPort) {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithTimeout(ctx, reflectTime)
	defer cancel()
	asked := f.external.worthAsking(services, time.Now())
	answers := make(chan netip.AddrPort, len(asked))
	for _, service := range asked {
		all.Go(func() {
			at, err := f.reflect(ctx, service, dial)
			if err != nil {
				f.cfg.Log.Debug("where we are seen", "by", service, "error", err)
				f.external.note(service, err, time.Now())
			}
			answers <- at // which has room for all
		})
	}
	for range asked {
		if at := <-answers; at.IsValid() {
			seen = append(seen, at)
		}
		if len(seen) == most {
			break
		}
	}
	return seen
}

// worthAsking are the first services that have not been silent.
func (x *external) worthAsking(services []string, now time.Time) (out []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range services {
		if now.Sub(x.silent[s]) > silentFor && len(out) < maxReflectors {
			out = append(out, s)
		}
	}
	return out
}

// note remembers who was silent, or said what is no answer. What else goes wrong is not the
// service's fault: our network, our port, another one that was faster.
func (x *external) note(service string, err error, now time.Time) {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, stun.ErrAnswer) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, errUseless) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.silent == nil {
		x.silent = map[string]time.Time{}
	}
	x.silent[service] = now
}

// forgive asks all again: the network may be another one.
func (x *external) forgive() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.silent = nil
}

// errUseless means that a service said, or is at, what leads nowhere.
var errUseless = errors.New("an address that not everybody can reach")

// reflect asks one service.
func (f *Finder) reflect(ctx context.Context, service string, dial dialAt) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	i := slices.IndexFunc(ips, func(a netip.Addr) bool { return ipaddr.MayDial(a, f.cfg.Account.OverLoopback()) })
	if i < 0 {
		return netip.AddrPort{}, fmt.Errorf("%w: it is not dialled", errUseless)
	}
	c, err := dial(ctx, netip.AddrPortFrom(ips[i].Unmap(), uint16(number)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	at, err := stun.Ask(ctx, c)
	if err == nil && (!f.tellable(at.Addr()) || at.Port() < minReflected) {
		err = errUseless
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	return at, nil
}

// tellable reports whether an address by which we are seen is told on.
func (f *Finder) tellable(a netip.Addr) bool {
	return a.Is4() && (ipaddr.Public(a) || f.cfg.Account.OverLoopback() && a.IsLoopback())
}

// services are those that can say where we are seen: of the user's configuration, and of
// our server (XEP-0215).
func (f *Finder) services(ctx context.Context, server jid.JID) []string {
	out := slices.Clone(f.cfg.S5B.STUN)
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := f.cfg.Account.IQ(ctx, server, stanza.Get, xmltree.New(nsServices, "services").Set("type", "stun"))
	if err != nil {
		f.cfg.Log.Debug("services of the server", "error", err)
		return out
	}
	if !answer.Is(nsServices, "services") {
		return out
	}
	for _, s := range parseServices(answer) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// parseServices reads the STUN services, those first that say that they listen for TCP: the
// others mostly do, too.
func parseServices(answer *xmltree.Element) (out []string) {
	for _, tcp := range []bool{true, false} {
		for _, s := range answer.All(nsServices, "service") {
			if s.Attr("type") != "stun" || (s.Attr("transport") == "tcp") != tcp || len(out) == maxReflectors {
				continue
			}
			port, there := s.LookupAttr("port")
			if !there {
				port = strconv.Itoa(stunPort)
			}
			at := net.JoinHostPort(s.Attr("host"), port)
			if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 && s.Attr("host") != "" && !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}

// seen is by which address the server sees us (XEP-0279); not valid when it does not say,
// or when not everybody can reach it.
func (f *Finder) seen(ctx context.Context, server jid.JID) netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := f.cfg.Account.IQ(ctx, server, stanza.Get, xmltree.New(nsSeen, "address"))
	if err != nil {
		f.cfg.Log.Debug("by which address the server sees us", "error", err)
		return netip.Addr{}
	}
	if !answer.Is(nsSeen, "address") || answer.Child(nsSeen, "ip") == nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(answer.Child(nsSeen, "ip").Text)
	if a = a.Unmap(); err != nil || !f.tellable(a) {
		return netip.Addr{}
	}
	return a
}
