package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/idna"
	"golang.org/x/net/proxy"
)

// The ports of RFC 6120 and XEP-0368 for a domain without SRV records, and the
// other one on which direct TLS is usual.
const (
	portStartTLS  = "5222"
	portDirectTLS = "5223"
	portHTTPS     = "443"
)

// The SRV services: RFC 6120 section 3.2.1 and XEP-0368.
const (
	srvStartTLS  = "xmpp-client"
	srvDirectTLS = "xmpps-client"
)

// errNoService is what a SRV target of "." says (RFC 2782).
var errNoService = errors.New("the domain says that it has no xmpp server for clients")

// target is one place to dial.
type target struct {
	address string // host:port
	direct  bool   // TLS from the first byte
}

// asciiDomain returns the domain as DNS and certificates have it.
func asciiDomain(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") { // an IPv6 literal
		return strings.Trim(domain, "[]"), nil
	}
	a, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", fmt.Errorf("domain %q: %w", domain, err)
	}
	return a, nil
}

// targets returns where to find the server of the account, best first.
func (s *Session) targets(ctx context.Context, domain string) ([]target, error) {
	if s.cfg.Server != "" {
		_, port, err := net.SplitHostPort(s.cfg.Server)
		if err != nil {
			return nil, fmt.Errorf("server address %q: %w", s.cfg.Server, err)
		}
		return []target{{address: s.cfg.Server, direct: port == portDirectTLS || port == portHTTPS}}, nil
	}
	if s.Proxied() || net.ParseIP(domain) != nil {
		return fallback(domain, true, true), nil
	}
	var direct, start service
	var wg sync.WaitGroup
	wg.Go(func() { direct = s.lookup(ctx, srvDirectTLS, domain) })
	wg.Go(func() { start = s.lookup(ctx, srvStartTLS, domain) })
	wg.Wait()
	if len(direct.records)+len(start.records) > 0 {
		return merge(direct.records, start.records), nil
	}
	if direct.absent && start.absent {
		return nil, errNoService
	}
	return fallback(domain, !direct.absent, !start.absent), nil
}

// fallback is the domain itself, on the usual ports.
func fallback(domain string, direct, start bool) []target {
	var out []target
	if direct {
		out = append(out, target{address: net.JoinHostPort(domain, portDirectTLS), direct: true})
	}
	if start {
		out = append(out, target{address: net.JoinHostPort(domain, portStartTLS)})
	}
	return out
}

// service is what DNS says of one SRV service.
type service struct {
	records []*net.SRV
	absent  bool // the only target is "."
}

func (s *Session) lookup(ctx context.Context, name, domain string) service {
	ctx, cancel := context.WithTimeout(ctx, targetTimeout)
	defer cancel()
	_, recs, err := s.cfg.LookupSRV(ctx, name, "tcp", domain)
	if err != nil {
		// No records, or none to be had: the domain itself may still answer.
		s.log.Debug("no srv records", "service", name, "domain", domain, "error", err)
	}
	if len(recs) == 1 && recs[0].Target == "." {
		return service{absent: true}
	}
	return service{records: slices.DeleteFunc(slices.Clone(recs), func(r *net.SRV) bool { return r.Target == "." })}
}

// merge orders the records of both services as if they were one (XEP-0368
// section 5): by priority, within a priority at random by weight.
func merge(direct, start []*net.SRV) []target {
	type record struct {
		*net.SRV
		direct bool
	}
	var all []record
	for _, r := range direct {
		all = append(all, record{r, true})
	}
	for _, r := range start {
		all = append(all, record{r, false})
	}
	slices.SortStableFunc(all, func(a, b record) int { return cmp.Compare(a.Priority, b.Priority) })
	var out []target
	for len(all) > 0 && len(out) < maxTargets {
		same := 0 // how many share the first priority
		sum := 0
		for same < len(all) && all[same].Priority == all[0].Priority {
			sum += int(all[same].Weight) + 1 // so that weight 0 is chosen now and then
			same++
		}
		pick := 0
		for left := rand.IntN(sum); left > int(all[pick].Weight); pick++ {
			left -= int(all[pick].Weight) + 1
		}
		r := all[pick]
		all = slices.Delete(all, pick, pick+1)
		out = append(out, target{
			address: net.JoinHostPort(strings.TrimSuffix(r.Target, "."), fmt.Sprint(r.Port)),
			direct:  r.direct,
		})
	}
	return out
}

// Dial opens a TCP connection as those to the server are opened: through
// Config.SOCKS5, if there is one, which then looks up the name as well.
func (s *Session) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if !s.Proxied() {
		return s.cfg.Dial(ctx, network, address)
	}
	var c net.Conn // what the proxy's dialer wraps, for nothing: it would hide CloseWrite
	d, err := proxy.SOCKS5("tcp", s.cfg.SOCKS5, nil, contextDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		var err error
		c, err = s.cfg.Dial(ctx, network, address)
		return c, err
	}))
	if err != nil {
		return nil, fmt.Errorf("socks5 proxy %s: %w", s.cfg.SOCKS5, err)
	}
	cd, ok := d.(proxy.ContextDialer)
	if !ok {
		return nil, fmt.Errorf("socks5 proxy %s: no dialing under a context", s.cfg.SOCKS5)
	}
	if _, err := cd.DialContext(ctx, network, address); err != nil {
		return nil, err
	}
	return c, nil
}

// Proxied reports whether everything has to go through Config.SOCKS5.
func (s *Session) Proxied() bool { return s.cfg.SOCKS5 != "" }

// contextDialer makes a dial function what x/net/proxy wants beneath it.
type contextDialer func(ctx context.Context, network, address string) (net.Conn, error)

// Dial implements proxy.Dialer. The proxy only calls DialContext.
func (d contextDialer) Dial(network, address string) (net.Conn, error) {
	return d(context.Background(), network, address)
}

// DialContext implements proxy.ContextDialer.
func (d contextDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return d(ctx, network, address)
}
