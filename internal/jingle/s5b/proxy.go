package s5b

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"jetsend/internal/ipaddr"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// NSBytestreams is the name space in which a proxy is asked for its address
// and told to activate a bytestream (XEP-0065 sections 4 and 6.3.5).
const NSBytestreams = "http://jabber.org/protocol/bytestreams"

// ErrProxy means that the proxy which both sides had agreed on failed: it could
// not be reached or activated, or the peer said so of its own. It is an
// [ErrNoCandidate], too: the same fall-back follows.
var ErrProxy = fmt.Errorf("socks5 proxy failed: %w", ErrNoCandidate)

// Port sends an iq and waits for the answer, which is a *stanza.Error when it
// is one. The account online satisfies it.
type Port interface {
	IQ(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error)
}

// Proxy is a SOCKS5 proxy that we may use: one of our own server, or one that
// our user has configured.
type Proxy struct {
	JID  jid.JID // whom to ask for the activation
	Host string  // IP address or name
	Port int
	// Configured says that our user named it. Such a proxy may be on a
	// loopback address whatever Config.AllowLoopback says; one that a server
	// named may not.
	Configured bool
}

const (
	// proxyPreference is the type preference of proxies (XEP-0260 section
	// 2.2); the local preference below it is made as that of direct ones.
	proxyPreference = 10 << 16
	// maxProxies bounds the proxies that we offer, and so the room that they
	// take from direct candidates: one for each kind of address of two proxies.
	maxProxies = 4
)

// valid reports whether p can be named in a candidate.
func (p Proxy) valid() bool {
	if p.JID.IsZero() || p.Port <= 0 || p.Port > 65535 || !validHost(p.Host) {
		return false
	}
	ip, err := netip.ParseAddr(p.Host)
	return err != nil || ipaddr.MayDial(ip, true)
}

// allowed reports whether p may be offered and dialled under our own rules.
func (p Proxy) allowed(local bool) bool {
	ip, err := netip.ParseAddr(p.Host)
	return p.valid() && (err != nil || ipaddr.MayDial(ip, local || p.Configured))
}

// at reports whether p is at that host and port. Names are not looked up.
func (p Proxy) at(host string, port int) bool {
	return p.Port == port && sameHost(p.Host, host)
}

// sameHost reports whether two hosts are the same address or the same name.
func sameHost(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX == nil && errY == nil {
		return x.Unmap() == y.Unmap()
	}
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// usableProxies returns the proxies that can be offered, each place once.
func usableProxies(cfg Config) []Proxy {
	if cfg.Port == nil {
		return nil // nobody to ask for the activation
	}
	var out []Proxy
	for _, p := range cfg.Proxies {
		switch {
		case len(out) == maxProxies:
			return out
		case !p.allowed(cfg.AllowLoopback):
			cfg.Log.Debug("proxy not offered", "jid", p.JID.String(), "host", p.Host, "port", p.Port)
		case !slices.ContainsFunc(out, func(o Proxy) bool { return o.at(p.Host, p.Port) }):
			out = append(out, p)
		}
	}
	return out
}

// offerProxies adds our proxies to the candidates.
func (n *Negotiation) offerProxies(proxies []Proxy) {
	for i, p := range proxies {
		n.own = append(n.own, offered{Candidate: Candidate{
			CID: rand.Text(), Host: p.Host, Port: p.Port, JID: p.JID.String(), Priority: proxyPreference + n.preference(i), Type: Mediated,
		}, listener: anyListener, proxy: p})
	}
}

// Answer returns the transport with our candidates for a session-accept: as
// Element, but without the places that the initiator has offered already, which
// a responder must not offer again (XEP-0260 section 2.2). Two accounts of one
// server know the same proxy: the initiator's offer of it stays. It is to be
// called before Connect.
func (n *Negotiation) Answer(remote *xmltree.Element) *xmltree.Element {
	if t, err := ParseTransport(remote); err == nil {
		n.own = slices.DeleteFunc(n.own, func(o offered) bool {
			return slices.ContainsFunc(t.Candidates, func(c Candidate) bool { return c.Port == o.Port && sameHost(c.Host, o.Host) })
		})
	}
	return n.Element()
}

// known returns the proxy of ours that a peer's candidate means: the one at its
// place, or else one of its JID, which is then another place than the peer
// says.
func (n *Negotiation) known(c Candidate) (p Proxy, place, ok bool) {
	if c.Type != Mediated {
		return p, false, false
	}
	for _, p := range n.cfg.Proxies {
		if p.valid() && p.at(c.Host, c.Port) {
			return p, true, true
		}
	}
	j, err := jid.Parse(c.JID)
	if err != nil {
		return p, false, false
	}
	for _, p := range n.cfg.Proxies {
		if p.valid() && p.JID == j {
			return p, false, true
		}
	}
	return p, false, false
}

// activation is the end of making our proxy ready.
type activation struct {
	conn *Conn // nil when err is not
	err  error
}

// activateTimeout bounds the proxy's answer: it has nothing to do but to join
// two connections that are there.
const activateTimeout = 10 * time.Second

// activate makes the proxy o ready that the peer is connected to and both sides
// have agreed on: it connects as well, has the proxy join the connections, and
// tells the peer so, in this order (XEP-0260 section 2.4). The word to the peer
// comes after our report, whose delivery closes reported.
func (n *Negotiation) activate(ctx context.Context, o offered, reported <-chan struct{},
	send func(context.Context, *xmltree.Element) error,
) (*Conn, error) {
	c, err := n.join(ctx, o)
	select {
	case <-reported:
	case <-ctx.Done():
	}
	if err == nil {
		if err = send(ctx, n.cidReport("activated", o.CID)); err == nil {
			return c, nil
		}
		_ = c.Close()
		return nil, fmt.Errorf("report activation: %w", err)
	}
	if ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, n.timing.ack)
		defer cancel()
		if serr := send(wait, n.cidReport("proxy-error", o.CID)); serr != nil {
			n.cfg.Log.Debug("report failure of proxy", "error", serr)
		}
	}
	return nil, fmt.Errorf("use %s: %w: %w", o.proxy.JID, ErrProxy, err)
}

// join connects to our proxy and has it join our connection with the peer's.
func (n *Negotiation) join(ctx context.Context, o offered) (*Conn, error) {
	t := target{Candidate: o.Candidate, local: n.cfg.AllowLoopback || o.proxy.Configured}
	c, err := n.reach(ctx, t, []string{DestinationAddress(n.sid, n.self, n.peer)})
	if err != nil {
		return nil, err
	}
	iqCtx, cancel := context.WithTimeout(ctx, n.timing.activate)
	defer cancel()
	q := xmltree.New(NSBytestreams, "query", xmltree.New(NSBytestreams, "activate").SetText(n.peer.String())).Set("sid", n.sid)
	if _, err := n.cfg.Port.IQ(iqCtx, o.proxy.JID, stanza.Set, q); err != nil {
		return nil, errors.Join(fmt.Errorf("activate bytestream: %w", err), c.Close())
	}
	return c, nil
}

// cidReport makes a report about one candidate.
func (n *Negotiation) cidReport(name, cid string) *xmltree.Element {
	return n.transport(xmltree.New(NS, name).Set("cid", cid))
}
