package xmpptest

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"sync"
	"testing"
)

// nsS5B is the SOCKS5 bytestreams transport of Jingle (XEP-0260 section 2).
const nsS5B = "urn:xmpp:jingle:transports:s5b:1"

// Redirector puts relays into the path of SOCKS5 bytestreams: its
// [Redirector.Rewrite] makes every candidate that passes through a tap point to
// a relay that forwards to where the candidate pointed. One redirector may
// serve several taps; a candidate that it has changed already stays as it is.
type Redirector struct {
	opts func(kind string) RelayOptions

	mu     sync.Mutex
	relays map[string]*Relay // by target
	closed bool
	errs   []error
}

// Redirect makes a redirector that lives as long as the test. All relays get
// the same options.
func Redirect(tb testing.TB, o RelayOptions) *Redirector {
	tb.Helper()
	d := NewRedirector(func(string) RelayOptions { return o })
	tb.Cleanup(d.Close)
	return d
}

// NewRedirector makes a redirector; opts gives the options of the relay for a
// candidate by its type attribute ("direct", "proxy", "assisted", "tunnel"). The
// owner calls [Redirector.Close].
func NewRedirector(opts func(kind string) RelayOptions) *Redirector {
	return &Redirector{opts: opts, relays: map[string]*Relay{}}
}

var (
	candidateTag = regexp.MustCompile(`<candidate\s[^>]*>`)
	hostAttr     = regexp.MustCompile(`(\shost=)(?:'([^']*)'|"([^"]*)")`)
	portAttr     = regexp.MustCompile(`(\sport=)(?:'([^']*)'|"([^"]*)")`)
	typeAttr     = regexp.MustCompile(`(\stype=)(?:'([^']*)'|"([^"]*)")`)
)

// Rewrite is a [Rewrite] for a tap.
func (d *Redirector) Rewrite(_ Direction, stanza []byte) [][]byte {
	if !bytes.Contains(stanza, []byte(nsS5B)) {
		return [][]byte{stanza}
	}
	return [][]byte{candidateTag.ReplaceAllFunc(stanza, d.redirect)}
}

// redirect changes one candidate tag.
func (d *Redirector) redirect(tag []byte) []byte {
	host, port := attr(hostAttr, tag), attr(portAttr, tag)
	if host == "" || port == "" {
		return tag // candidate-less forms and broken ones are none of ours
	}
	kind := attr(typeAttr, tag)
	if kind == "" {
		kind = "direct" // XEP-0260 section 2.3: the default
	}
	addr, err := d.relay(net.JoinHostPort(host, port), kind)
	if err != nil {
		d.mu.Lock()
		d.errs = append(d.errs, err)
		d.mu.Unlock()
		return tag
	}
	newHost, newPort, _ := net.SplitHostPort(addr) // ours
	tag = hostAttr.ReplaceAll(tag, fmt.Appendf(nil, "${1}'%s'", newHost))
	return portAttr.ReplaceAll(tag, fmt.Appendf(nil, "${1}'%s'", newPort))
}

// relay returns the address of the relay for a target.
func (d *Redirector) relay(target, kind string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return "", net.ErrClosed
	}
	for _, r := range d.relays {
		if r.Addr == target {
			return target, nil
		}
	}
	if r := d.relays[target]; r != nil {
		return r.Addr, nil
	}
	r, err := NewRelay(target, d.opts(kind))
	if err != nil {
		return "", err
	}
	d.relays[target] = r
	return r.Addr, nil
}

// Relays returns the relays made so far, in no order.
func (d *Redirector) Relays() []*Relay {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Relay, 0, len(d.relays))
	for _, r := range d.relays {
		all = append(all, r)
	}
	return all
}

// Carried returns what all relays together have taken in so far.
func (d *Redirector) Carried() Carried {
	var sum Carried
	for _, r := range d.Relays() {
		c := r.Carried()
		sum.UpCount += c.UpCount
		sum.DownCount += c.DownCount
		sum.Up = append(sum.Up, c.Up...)
		sum.Down = append(sum.Down, c.Down...)
	}
	return sum
}

// Errors returns what kept candidates from being redirected.
func (d *Redirector) Errors() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]error(nil), d.errs...)
}

// Close ends all relays and waits for them.
func (d *Redirector) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	for _, r := range d.Relays() {
		r.Close()
	}
}

func attr(re *regexp.Regexp, tag []byte) string {
	m := re.FindSubmatch(tag)
	if m == nil {
		return ""
	}
	return string(m[2]) + string(m[3])
}
