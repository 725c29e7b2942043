package s5b

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// NoDiscovery among configured proxies says that those of the server are not
// wanted.
const NoDiscovery = "none"

// The name spaces of service discovery (XEP-0030).
const (
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
)

// Bounds of the search for proxies.
const (
	// maxItems bounds the items of a server that are asked what they are: a
	// server has a handful of components, some list every room.
	maxItems = 32
	// maxAsked bounds the questions under way at the same time.
	maxAsked = 4
	// maxStreamhosts bounds the addresses taken of one proxy, and maxFound
	// those of all.
	maxStreamhosts = 4
	maxFound       = 16
	// askTimeout bounds one question, discoverTimeout all of them: components
	// that are down answer with an error, or never.
	askTimeout      = 5 * time.Second
	discoverTimeout = 15 * time.Second
)

// place is a configured proxy: its JID, and where it is unless it is to be
// asked.
type place struct {
	jid  jid.JID
	host string
	port int
}

// parsePlace reads `proxy.example.org` or `proxy.example.org=host:port`.
func parsePlace(s string) (p place, err error) {
	name, at, has := strings.Cut(s, "=")
	if p.jid, err = jid.Parse(name); err != nil {
		return p, fmt.Errorf("proxy %q: %w", s, err)
	}
	if !has {
		return p, nil
	}
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return p, fmt.Errorf("proxy %q: %w", s, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	p.host, p.port = host, int(n)
	if err != nil || !(Proxy{JID: p.jid, Host: p.host, Port: p.port}).valid() {
		return p, fmt.Errorf("proxy %q: not a host and port", s)
	}
	return p, nil
}

// CheckProxies checks a list of configured proxies without asking anybody.
func CheckProxies(configured []string) error {
	for _, s := range configured {
		if s == NoDiscovery {
			continue
		}
		if _, err := parsePlace(s); err != nil {
			return err
		}
	}
	return nil
}

// FindProxies returns the SOCKS5 proxies that may be used: first the
// configured ones, then those of our server (XEP-0065 section 4).
//
// A configured proxy is a JID, which is asked for its addresses, or a JID and
// its address: `proxy.example.org` or `proxy.example.org=192.0.2.1:7777`.
// [NoDiscovery] among them, or a zero server, leaves out those of the server.
//
// A service that does not answer, or answers with an error, is left out. An error
// means that the configuration is wrong, that the server did not say what it has,
// or that ctx ended; what was found comes with it. It takes 15 seconds at most.
func FindProxies(ctx context.Context, port Port, server jid.JID, configured []string, log *slog.Logger) ([]Proxy, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := CheckProxies(configured); err != nil {
		return nil, err
	}
	whole, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	f := finder{port: port, log: log}
	var wg sync.WaitGroup
	var theirs []Proxy
	var err error
	if !server.IsZero() && !slices.Contains(configured, NoDiscovery) {
		wg.Go(func() { theirs, err = f.discover(whole, server) })
	}
	found := f.configured(whole, configured)
	wg.Wait()
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("search for socks5 proxies: %w", context.Cause(ctx))
	}
	var out []Proxy
	for _, p := range append(found, theirs...) {
		same := func(o Proxy) bool { return o.JID == p.JID && o.at(p.Host, p.Port) }
		if len(out) < maxFound && !slices.ContainsFunc(out, same) {
			out = append(out, p)
		}
	}
	return out, err
}

// finder asks for proxies.
type finder struct {
	port Port
	log  *slog.Logger
}

// configured returns the proxies of the configuration, in its order.
func (f finder) configured(ctx context.Context, list []string) []Proxy {
	return each(min(len(list), maxItems), func(i int) []Proxy {
		p, err := parsePlace(list[i])
		if err != nil || list[i] == NoDiscovery {
			return nil // checked before
		}
		found := []Proxy{{JID: p.jid, Host: p.host, Port: p.port}}
		if p.host == "" {
			found = f.streamhosts(ctx, p.jid)
		}
		for i := range found {
			found[i].Configured = true
		}
		return found
	})
}

// discover returns the proxies among the items of a server, in its order.
func (f finder) discover(ctx context.Context, server jid.JID) ([]Proxy, error) {
	q, err := f.ask(ctx, server, xmltree.New(nsDiscoItems, "query"))
	if err != nil {
		return nil, fmt.Errorf("items of %s: %w", server, err)
	}
	items := parseItems(q, server)
	return each(len(items), func(i int) []Proxy {
		info, err := f.ask(ctx, items[i], xmltree.New(nsDiscoInfo, "query"))
		if err != nil || !isProxy(info) {
			return nil
		}
		return f.streamhosts(ctx, items[i])
	}), nil
}

// each calls what for 0 to n-1, a few at the same time, and joins the results
// in order.
func each(n int, what func(i int) []Proxy) []Proxy {
	results := make([][]Proxy, n)
	slots := make(chan struct{}, maxAsked)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			results[i] = what(i)
			<-slots
		})
	}
	wg.Wait()
	return slices.Concat(results...)
}

// ask sends one question.
func (f finder) ask(ctx context.Context, to jid.JID, q *xmltree.Element) (*xmltree.Element, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := f.port.IQ(ctx, to, stanza.Get, q)
	if err == nil && !answer.Is(q.Name.Space, q.Name.Local) {
		err = errors.New("an answer to something else")
	}
	if err != nil {
		f.log.Debug("search for socks5 proxies", "of", to.String(), "query", q.Name.Space, "error", err)
	}
	return answer, err
}

// streamhosts asks a proxy for its addresses.
func (f finder) streamhosts(ctx context.Context, proxy jid.JID) []Proxy {
	q, err := f.ask(ctx, proxy, xmltree.New(NSBytestreams, "query"))
	if err != nil {
		return nil
	}
	found := parseStreamhosts(q, proxy)
	f.log.Debug("socks5 proxy", "jid", proxy.String(), "addresses", len(found))
	return found
}

// parseItems reads the items of a server, without nodes, which are nobody to be
// asked, and without the server itself.
func parseItems(q *xmltree.Element, server jid.JID) []jid.JID {
	var out []jid.JID
	for _, i := range q.All(nsDiscoItems, "item") {
		j, err := jid.Parse(i.Attr("jid"))
		if err != nil || i.Attr("node") != "" || j == server || slices.Contains(out, j) {
			continue
		}
		if out = append(out, j); len(out) == maxItems {
			break
		}
	}
	return out
}

// isProxy reports whether an entity says that it is a SOCKS5 proxy.
func isProxy(info *xmltree.Element) bool {
	return slices.ContainsFunc(info.All(nsDiscoInfo, "identity"), func(i *xmltree.Element) bool {
		return i.Attr("category") == "proxy" && i.Attr("type") == "bytestreams"
	})
}

// parseStreamhosts reads a proxy's addresses. One without JID is the proxy's
// that was asked.
func parseStreamhosts(q *xmltree.Element, proxy jid.JID) []Proxy {
	var out []Proxy
	for _, s := range q.All(NSBytestreams, "streamhost") {
		p, err := parseStreamhost(s, proxy)
		if err == nil && p.valid() && !slices.ContainsFunc(out, func(o Proxy) bool { return o.at(p.Host, p.Port) }) {
			out = append(out, p)
		}
		if len(out) == maxStreamhosts {
			break
		}
	}
	return out
}

func parseStreamhost(s *xmltree.Element, proxy jid.JID) (p Proxy, err error) {
	p = Proxy{JID: proxy, Host: strings.TrimSpace(s.Attr("host")), Port: defaultPort}
	if a, ok := s.LookupAttr("port"); ok {
		n, err := strconv.ParseUint(a, 10, 16)
		if err != nil {
			return p, err
		}
		p.Port = int(n)
	}
	if a, ok := s.LookupAttr("jid"); ok {
		p.JID, err = jid.Parse(a)
	}
	return p, err
}
