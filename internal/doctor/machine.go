package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"jetsend/internal/clean"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/route"
)

// proxyTry bounds a try to talk to a proxy.
const proxyTry = 5 * time.Second

// CandidatesDetails are what the check "candidates" found.
type CandidatesDetails struct {
	Candidates []CandidateInfo `json:"candidates"`
}

// ProxiesDetails are what the check "proxies" found.
type ProxiesDetails struct {
	Proxies []ProxyReport `json:"proxies"`
}

// ProxyReport is a SOCKS5 proxy (XEP-0065) of our server or configuration.
type ProxyReport struct {
	JID     string `json:"jid"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
	Offered bool   `json:"offered"` // it is among what a send offers
	Answers bool   `json:"answers"` // as SOCKS5 at that place
	Error   string `json:"error,omitempty"`
}

// InBandDetails are what the check "in-band" found.
type InBandDetails struct {
	Allowed   bool `json:"allowed"`
	BlockSize int  `json:"block_size"` // bytes, that we offer
}

// machine looks at what this machine has to offer for the bytes of a file.
func (d *doctor) machine(ctx context.Context) {
	d.platform()
	_, offered, _, err := d.paths(ctx, ownPeer(d.account.JID()), route.Options{NoDirect: d.opt.Route.NoDirect})
	if err != nil {
		d.add(AreaMachine, "candidates", StatusWarn, "no connection can be taken here: "+clean.Error(err), nil)
	} else {
		d.found(candidatesFinding(offered, d.opt.Route, d.account.Proxied()))
	}
	d.outside(ctx)
	d.proxies(ctx, offered)
	b := InBandDetails{slices.Contains(d.opt.Route.Order(), ibb.Name), ibb.NewTransport(d.config.IBBBlockSize).BlockSize}
	if b.Allowed {
		d.add(AreaMachine, "in-band", StatusOK, fmt.Sprintf("possible, in blocks of %d bytes, when no other path is found", b.BlockSize), b)
	} else {
		d.add(AreaMachine, "in-band", StatusWarn, "not allowed: without a direct connection or a proxy a send fails", b,
			"allow it with `--transport s5b,ibb`, or `transports: {order: [s5b, ibb]}`")
	}
}

func candidatesFinding(offered []CandidateInfo, route route.Options, proxied bool) Finding {
	f := Finding{Area: AreaMachine, Check: "candidates", Status: StatusOK, Details: CandidatesDetails{offered}}
	var direct []string
	for _, c := range offered {
		if c.Type == "direct" {
			direct = append(direct, c.Host)
		}
	}
	switch {
	case !slices.Contains(route.Order(), s5b.Name):
		f.Text = "none, only in-band is allowed"
	case proxied:
		f.Text = "no direct connection: everything goes through the proxy of `socks5`"
	case route.NoDirect:
		f.Text = "no direct connection, as it was asked for"
	case len(direct) == 0:
		f.Status, f.Text = StatusWarn, "this machine has no address at which a contact could reach it"
		f.Hints = []string{"see transports.s5b in `jetsend help config-example`: listen_ports, advertise, interfaces"}
	default:
		f.Text = "contacts could reach this machine at " + strings.Join(direct, ", ")
	}
	return f
}

// proxies tells which proxies there are and whether they answer.
func (d *doctor) proxies(ctx context.Context, offered []CandidateInfo) {
	reports := []ProxyReport{}
	for _, p := range d.e.Routes().Proxies(ctx) {
		r := ProxyReport{JID: clean.Text(p.JID.String()), Host: clean.Text(p.Host), Port: p.Port}
		r.Offered = slices.Contains(offered, CandidateInfo{Type: "proxy", Host: p.Host, Port: p.Port})
		reports = append(reports, r)
	}
	var group errgroup.Group
	for i := range reports { // few: at most what one search finds
		if r := &reports[i]; r.Offered {
			group.Go(func() error {
				if err := d.tryProxy(ctx, net.JoinHostPort(r.Host, strconv.Itoa(r.Port))); err != nil {
					r.Error = clean.Error(err)
				} else {
					r.Answers = true
				}
				return nil
			})
		}
	}
	_ = group.Wait() // each proxy tells its own trouble
	d.found(proxiesFinding(reports))
}

func proxiesFinding(reports []ProxyReport) Finding {
	f := Finding{Area: AreaMachine, Check: "proxies", Status: StatusOK, Details: ProxiesDetails{reports}}
	var words []string
	answers := 0
	for _, r := range reports {
		word := r.JID + " at " + net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
		switch {
		case r.Answers:
			answers++
			word += " answers"
		case r.Offered:
			word += " does not answer: " + r.Error
		default:
			word += " is not offered"
		}
		words = append(words, word)
	}
	f.Text = strings.Join(words, "; ")
	if len(reports) == 0 {
		f.Text = "the server has no SOCKS5 proxy"
	}
	if answers == 0 {
		f.Status, f.Hints = StatusWarn, []string{"name others with `transports: {s5b: {proxies: [proxy.example.org]}}`"}
	}
	return f
}

// tryProxy says hello as SOCKS5 (RFC 1928 section 3) and hangs up.
func (d *doctor) tryProxy(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, proxyTry)
	defer cancel()
	c, err := d.account.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing was sent that matters
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write([]byte{5, 1, 0}); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer != [2]byte{5, 0} {
		return fmt.Errorf("it does not speak SOCKS5: %w", s5b.ErrProtocol)
	}
	return nil
}
