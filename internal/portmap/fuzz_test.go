package portmap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"
	"unicode"
)

// quiet reports an error that has something of the router's own in it.
func quiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, r := range err.Error() {
		if r > unicode.MaxASCII || !unicode.IsPrint(r) {
			t.Fatalf("an error with %q", err.Error())
		}
	}
}

func FuzzNATPMP(f *testing.F) {
	for _, b := range [][]byte{pmpAddress(outside, 1), pmpMapping(6001, 7001, 120, 1), {2, 0x82, 0, 1}, {0, 0x82, 0, 2}, {0, 0x80, 0, 0}} {
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, mapping bool) {
		request := []byte{0, opAddress}
		if mapping {
			request = mapRequest(6001, 6001, time.Minute)
		}
		a, err := parseNATPMP(request, b)
		quiet(t, err)
		switch {
		case err != nil:
		case mapping && !bytes.HasPrefix(b[4:], pmpMapping(6001, a.external, uint32(a.lease/time.Second), a.epoch)[4:]):
			t.Fatalf("%x is not %+v", b, a)
		case !mapping && !bytes.HasPrefix(b[4:], pmpAddress(a.address, a.epoch)[4:]):
			t.Fatalf("%x is not %+v", b, a)
		}
	})
}

func FuzzSearchAnswer(f *testing.F) {
	f.Add(searchAnswer("http://127.0.0.1:1/desc.xml"))
	f.Add(searchAnswer("http://127.0.0.2:1/desc.xml"))
	f.Add([]byte("NOTIFY * HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := within(local, parseSearchAnswer(b))
		quiet(t, err)
		if err == nil {
			held(t, u)
		}
	})
}

// held fails unless a URL leads to the router.
func held(t *testing.T, u *url.URL) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, u.String(), nil) //nolint:noctx // it is not sent
	if err != nil {
		return
	}
	if a, err := netip.ParseAddr(request.URL.Hostname()); err != nil || a != local || request.URL.Scheme != "http" {
		t.Fatalf("%s leads elsewhere", u)
	}
}

func FuzzDescription(f *testing.F) {
	for _, s := range []string{"", "http://127.0.0.1:1/", "http://127.0.0.2:1/", "http://127.0.0.1:1/a?b"} {
		for _, control := range []string{"/ctl", "ctl", "//127.0.0.2/ctl", "http://127.0.0.2/ctl", "http://127.0.0.1:5/ctl", "http:ctl", "/a://b"} {
			f.Add(descriptionOf(s, control))
		}
	}
	at, err := url.Parse("http://127.0.0.1:1/desc.xml")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, err := parseDescription(xml.NewDecoder(bytes.NewReader([]byte(s))), local, at)
		quiet(t, err)
		if err == nil && (len(found) == 0 || len(found) > maxDescriptions) {
			t.Fatalf("%d services", len(found))
		}
		for _, c := range found {
			held(t, c.at)
		}
	})
}

// canned answers everything with the same bytes.
type canned []byte

func (c canned) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL.Host != "127.0.0.1:1" {
		return nil, errors.New("elsewhere")
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(c)), ContentLength: -1, Request: q}, nil
}

func FuzzControlAnswer(f *testing.F) {
	f.Add(envelope + "<a><NewExternalIPAddress>45.9.9.11</NewExternalIPAddress></a>" + envelopeEnd)
	f.Add(entryAnswer("127.0.0.1", "60"))
	f.Add(entryAnswer("127.0.0.1", "-1"))
	f.Add(envelope + "<s:Fault><detail><UPnPError><errorCode>714</errorCode></UPnPError></detail></s:Fault>" + envelopeEnd)
	at, err := url.Parse("http://127.0.0.1:1/ctl")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g := newIGD(local, local, control{wanServices[0], at})
		g.soap.HTTPClient.Transport = canned(s)
		a, err := g.external(t.Context())
		quiet(t, err)
		if err == nil && !a.Is4() {
			t.Fatalf("external address %s", a)
		}
		got, err := g.add(t.Context(), 6001, 6001, time.Minute)
		quiet(t, err)
		if err == nil && (got.port < 1024 || got.lease <= 0 || got.lease > maxLease) {
			t.Fatalf("given %+v", got)
		}
	})
}
