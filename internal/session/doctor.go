package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/xmltree"
)

// resolveTime bounds looking up the addresses of the hosts that were tried,
// which is for the report only.
const resolveTime = 3 * time.Second

// Inspection is what a look at the account's server brought without a login:
// as far as it came, whatever the error. Text in it that a server sent is not
// cleaned.
type Inspection struct {
	// Asked reports whether DNS was asked for SRV records at all: not with
	// Config.Server, a proxy, or a domain that is an address.
	Asked bool
	SRV   []SRV // both services, as DNS had them
	// SRVErr is why DNS could not be asked for a service; that it has none is no error.
	SRVErr error
	// Attempts are the TCP connections tried, in order.
	Attempts []Attempt
	Link     *Link // nil when there is none
	// Mechanisms are the SASL mechanisms on offer, Bindings the types of
	// channel binding (XEP-0440).
	Mechanisms, Bindings []string
	// Mechanism is what a login would use, Binding its channel binding or "".
	// MechanismErr, an *AuthError, says why there is none.
	Mechanism, Binding string
	MechanismErr       error
	// Err says why there is no Link, as [Session.Start] would.
	Err error
}

// SRV is a record of either service (RFC 6120 section 3.2.1, XEP-0368).
type SRV struct {
	Service string // xmpp-client or xmpps-client
	net.SRV
}

// Attempt is one TCP connection that was tried, through Config.SOCKS5 if there is one.
type Attempt struct {
	Address string // host:port
	// Addrs are the addresses of the host, where it is a name.
	Addrs []netip.Addr
	Took  time.Duration
	Err   error
}

// Link is an encrypted stream to a server that has proved its identity.
type Link struct {
	Address string   // host:port that was dialled
	Remote  net.Addr // nil behind Config.SOCKS5
	Direct  bool     // TLS from the first byte, not STARTTLS
	TLS     tls.ConnectionState
}

func (s *Session) linkOf(t *transport) *Link {
	l := &Link{Address: t.cfg.Address, Direct: t.direct, TLS: t.tls.ConnectionState()}
	if !s.Proxied() {
		l.Remote = t.remoteAddr()
	}
	return l
}

// Inspect finds the account's server as a login would, up to the point where
// the password is needed, and hangs up. cfg.Password is not asked.
func Inspect(ctx context.Context, cfg Config) *Inspection {
	s := New(cfg)
	defer s.cancel()
	in := &Inspection{}
	if in.Err = s.err0; in.Err != nil {
		return in
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.loginMax)
		defer cancel()
	}
	w := &watcher{in: in}
	s.cfg.LookupSRV, s.dial = w.lookup(s.cfg.LookupSRV), w.dial(s.dial)
	t, features, err := s.reach(ctx, nil)
	for n := 0; err != nil && n < maxRedirects && s.redirected(err); n++ {
		t, features, err = s.reach(ctx, nil)
	}
	in.Err = err
	if err == nil {
		in.Link = s.linkOf(t)
		in.offered(features, s.cfg)
		t.hangUp()
	}
	if !s.Proxied() {
		in.resolve(ctx)
	}
	return in
}

// offered reads how the server lets people in.
func (in *Inspection) offered(features *xmltree.Element, cfg Config) {
	o := ways(features)
	in.Mechanisms, in.Bindings = o.mechanisms, o.bindings
	cb, bindable := o.binding(&in.Link.TLS)
	in.Mechanism, in.MechanismErr = o.choose(bindable, policy{
		allowPlain: cfg.AllowPlain, best: cfg.BestMechanism, allowDowngrade: cfg.AllowSASLDowngrade,
	})
	if strings.HasSuffix(in.Mechanism, plusSuffix) {
		in.Binding = string(cb.Type)
	}
}

// resolve finds the addresses of the hosts that were tried.
func (in *Inspection) resolve(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTime)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(maxTargets)
	for i := range in.Attempts {
		host, _, err := net.SplitHostPort(in.Attempts[i].Address)
		if err != nil || net.ParseIP(host) != nil {
			continue
		}
		group.Go(func() error {
			addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
			for _, a := range addrs {
				in.Attempts[i].Addrs = append(in.Attempts[i].Addrs, a.Unmap())
			}
			return err
		})
	}
	_ = group.Wait() // that nobody knows the host shows in the attempt
}

// watcher notes what the search for a server does.
type watcher struct {
	mu sync.Mutex
	in *Inspection
}

type lookupFunc = func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)

func (w *watcher) lookup(next lookupFunc) lookupFunc {
	return func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
		cname, records, err := next(ctx, service, proto, name)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.in.Asked = true
		for _, r := range records {
			w.in.SRV = append(w.in.SRV, SRV{service, *r})
		}
		slices.SortStableFunc(w.in.SRV, func(a, b SRV) int { return int(a.Priority) - int(b.Priority) })
		var dns *net.DNSError
		if err != nil && !(errors.As(err, &dns) && dns.IsNotFound) {
			w.in.SRVErr = err
		}
		return cname, records, err
	}
}

func (w *watcher) dial(next dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		begun := time.Now()
		c, err := next(ctx, network, address)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.in.Attempts = append(w.in.Attempts, Attempt{Address: address, Took: time.Since(begun), Err: err})
		return c, err
	}
}

// Link returns what is known of the stream that is up, or nil between two.
func (s *Session) Link() *Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		return nil
	}
	return s.linkOf(s.stream.t)
}

// Management is what the server grants of stream management (XEP-0198).
type Management struct {
	Enabled bool
	// Resumable is for how long a lost stream can be resumed; 0: not at all.
	Resumable time.Duration
}

// Management tells how the stream that is up is managed.
func (s *Session) Management() Management {
	s.mu.Lock()
	b := s.bound
	s.mu.Unlock()
	if b == nil {
		return Management{}
	}
	b.sm.mu.Lock()
	defer b.sm.mu.Unlock()
	m := Management{Enabled: b.sm.on}
	if m.Enabled && b.sm.id != "" {
		m.Resumable = b.sm.max
	}
	return m
}
