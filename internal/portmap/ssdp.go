package portmap

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/huin/goupnp"
)

// ssdpPort is where UPnP devices are searched for (UPnP Device Architecture 1.1, 1.3).
const ssdpPort = 1900

// ssdpGroup is the multicast address of the search.
var ssdpGroup = netip.AddrFrom4([4]byte{239, 255, 255, 250})

// maxDescriptions bounds how many descriptions of a router are looked at: one has several
// when it has several versions of its devices.
const maxDescriptions = 4

// gatewayDevices is what is searched for, and wanServices what makes mappings, the best first.
var (
	gatewayDevices = []string{
		"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
		"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
	}
	wanServices = []string{
		"urn:schemas-upnp-org:service:WANIPConnection:2",
		"urn:schemas-upnp-org:service:WANIPConnection:1",
		"urn:schemas-upnp-org:service:WANPPPConnection:1",
	}
)

// control is where a service of the router takes its orders.
type control struct {
	service string
	at      *url.URL
}

// errNoUPnP is of a router that did not answer a search.
var errNoUPnP = errors.New("no answer")

// searchUPnP searches for the router as a UPnP device, until one of its descriptions has
// services that make mappings. It is asked at its own address and, because some listen only
// there, by multicast; what others answer is not read.
func searchUPnP(ctx context.Context, self netip.Addr, router netip.AddrPort, group bool) ([]control, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(self, 0)))
	if err != nil {
		return nil, fmt.Errorf("search for the router: %w", err)
	}
	defer c.Close()                                                      //nolint:errcheck // nothing is buffered
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) }) //nolint:errcheck // it is open
	defer stop()
	s := search{c: c, router: router, group: group}
	why := errNoUPnP
	seen := map[string]bool{}
	for len(seen) < maxDescriptions {
		location, err := s.next(ctx)
		if err != nil {
			break
		}
		if seen[location] {
			continue
		}
		seen[location] = true
		found, err := describe(ctx, router.Addr(), location)
		if err == nil {
			return found, nil
		}
		why = err
	}
	return nil, why
}

// search is one for the router, which is asked every half second.
type search struct {
	c      *net.UDPConn
	router netip.AddrPort
	group  bool
	again  time.Time // when it is asked again
}

// next returns the LOCATION of the next answer.
func (s *search) next(ctx context.Context) (string, error) {
	buf := make([]byte, maxSearchAnswer+1)
	for {
		if now := time.Now(); !now.Before(s.again) {
			sendSearch(s.c, s.router, s.group)
			s.again = now.Add(500 * time.Millisecond)
		}
		s.c.SetReadDeadline(s.again) //nolint:errcheck // it is open
		err := ctx.Err()             // which ends the reading, if it is still to come
		for err == nil {
			var n int
			var from netip.AddrPort
			n, from, err = s.c.ReadFromUDPAddrPort(buf)
			if err != nil || from.Addr().Unmap() != s.router.Addr() {
				continue
			}
			if location := parseSearchAnswer(buf[:n]); location != "" {
				return location, nil
			}
		}
		if ctx.Err() != nil || !isTimeout(err) {
			return "", err
		}
	}
}

// sendSearch asks. What cannot be sent is sent again half a second later.
func sendSearch(c *net.UDPConn, router netip.AddrPort, group bool) {
	to := []netip.AddrPort{router}
	if group {
		to = append(to, netip.AddrPortFrom(ssdpGroup, ssdpPort))
	}
	for _, a := range to {
		for _, what := range gatewayDevices {
			m := fmt.Sprintf("M-SEARCH * HTTP/1.1\r\nHOST: %s:%d\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n", ssdpGroup, ssdpPort, what)
			c.WriteToUDPAddrPort([]byte(m), a) //nolint:errcheck // see above
		}
	}
}

// parseSearchAnswer returns the LOCATION of an answer to a search for gateways, or nothing.
func parseSearchAnswer(b []byte) string {
	if len(b) > maxSearchAnswer {
		return ""
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return ""
	}
	answer.Body.Close() //nolint:errcheck // it is memory
	if answer.StatusCode != http.StatusOK || !strings.Contains(answer.Header.Get("ST"), ":InternetGatewayDevice:") {
		return ""
	}
	return answer.Header.Get("LOCATION")
}

// describe fetches a description of the router and returns its services that make mappings.
func describe(ctx context.Context, router netip.Addr, location string) ([]control, error) {
	at, err := within(router, location)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, errors.New("the router gives an address that is none")
	}
	client := fence(router, maxDescription)
	answer, err := client.Do(request)
	if err != nil {
		return nil, plain(ctx, err, "its description cannot be fetched")
	}
	defer answer.Body.Close() //nolint:errcheck // it is read only
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its description is not given (status %d)", answer.StatusCode)
	}
	return parseDescription(xml.NewDecoder(answer.Body), router, at)
}

// plain is an error of a request in words of ours: what the router wrote stays out.
func plain(ctx context.Context, err error, what string) error {
	for _, known := range []error{ctx.Err(), errElsewhere, errRedirect} {
		if known != nil && errors.Is(err, known) {
			return known
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New(what)
}

// parseDescription reads the description that is at this URL. URLBase, which old devices
// have, and where the services take orders are held to the router.
func parseDescription(d *xml.Decoder, router netip.Addr, at *url.URL) ([]control, error) {
	var root goupnp.RootDevice
	if err := d.Decode(&root); err != nil {
		return nil, errors.New("its description cannot be read")
	}
	base := at
	if root.URLBaseStr != "" {
		var err error
		if base, err = within(router, strings.TrimSpace(root.URLBaseStr)); err != nil {
			return nil, err
		}
	}
	root.SetURLBase(base)
	var found []control
	why := errors.New("it makes no mappings")
	for _, kind := range wanServices {
		for _, s := range root.Device.FindService(kind) {
			u := s.ControlURL.URL
			switch err := check(router, &u); {
			case err != nil:
				why = err
			case len(found) < maxDescriptions:
				found = append(found, control{kind, &u})
			}
		}
	}
	if len(found) == 0 {
		return nil, why
	}
	return found, nil
}
