package portmap

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// Bounds on what is read of a router, in bytes.
const (
	maxSearchAnswer = 2 << 10
	maxDescription  = 64 << 10
	maxSOAPAnswer   = 16 << 10
	maxHeader       = 8 << 10
)

var (
	errElsewhere = errors.New("the router points to another host than itself")
	errRedirect  = errors.New("the router redirects")
)

// fence returns an HTTP client that speaks to this host alone: whatever is asked for, it
// dials no other address, asks no proxy, follows no redirect, and reads so many bytes of an
// answer.
func fence(host netip.Addr, limit int64) http.Client {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	t := &http.Transport{
		Proxy: nil,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil || to.Addr() != host {
				return nil, errElsewhere
			}
			return dialer.DialContext(ctx, "tcp4", address)
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	return http.Client{
		Transport:     bounded{t, limit},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
		Timeout:       5 * time.Second, // the context ends it earlier
	}
}

// bounded reads no more than limit bytes of an answer.
type bounded struct {
	http.RoundTripper
	limit int64
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, b.limit)
	}
	return answer, err
}

// within parses a URL that the router gave and holds it to the router: plain HTTP, and its
// own address written in digits.
func within(router netip.Addr, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the router gives an address that is none")
	}
	return u, check(router, u)
}

// check holds a URL to the router.
func check(router netip.Addr, u *url.URL) error {
	if u.Scheme != "http" || u.User != nil || u.Opaque != "" {
		return errors.New("the router gives an address that is not plain HTTP")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err != nil || a != router {
		return errElsewhere
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return errors.New("the router gives a port that is none")
	}
	return nil
}
