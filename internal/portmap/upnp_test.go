package portmap

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const twoMinutes = 2 * time.Minute

// TestUPnP: a mapping is searched for, made, shared and deleted.
func TestUPnP(t *testing.T) {
	r := newFakeRouter(t)
	k := r.keeper()
	k.Look()
	h, err := k.Hold(t.Context(), 6001)
	if err != nil {
		t.Fatal(err)
	}
	if h.External() != netip.AddrPortFrom(outside, 6001) || h.How() != "upnp" {
		t.Errorf("mapped: %s by %s", h.External(), h.How())
	}
	r.mu.Lock()
	e := r.entries["6001"]
	r.mu.Unlock()
	if e["NewInternalClient"] != "127.0.0.1" || e["NewInternalPort"] != "6001" || e["NewProtocol"] != "TCP" || e["NewLeaseDuration"] != "120" {
		t.Errorf("the router has %v", e)
	}
	h.Release()
	k.Close()
	if n := r.has(); n != 0 {
		t.Errorf("the router has %d mappings at the end", n)
	}
}

// TestDescriptionLies: a description that leads to another host, or has no end, is refused,
// and the other host is not asked.
func TestDescriptionLies(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		io.WriteString(w, descriptionOf("", "/ctl")) //nolint:errcheck // a test
	}))
	defer other.Close()
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "127.0.0.2", 1)
	byName := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	long := func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `<root xmlns="urn:schemas-upnp-org:device-1-0"><!-- `) //nolint:errcheck // it is not read to the end
		io.Copy(w, io.LimitReader(zeros{}, 1<<20))                               //nolint:errcheck // it is not read to the end
		io.WriteString(w, ` --></root>`)                                         //nolint:errcheck // it is not read to the end
	}
	for name, c := range map[string]struct {
		location string
		page     http.HandlerFunc
		want     string
	}{
		"location elsewhere": {elsewhere + "/desc.xml", nil, errElsewhere.Error()},
		"location by name":   {byName + "/desc.xml", nil, errElsewhere.Error()},
		"location v6":        {"http://[::1]:80/desc.xml", nil, errElsewhere.Error()},
		"location mapped v6": {"http://[::ffff:127.0.0.1]:80/desc.xml", nil, errElsewhere.Error()},
		"location https":     {"https://127.0.0.1/desc.xml", nil, "not plain HTTP"},
		"location file":      {"file:///etc/passwd", nil, "not plain HTTP"},
		"location user":      {"http://127.0.0.2@127.0.0.1/desc.xml", nil, "not plain HTTP"},
		"location port 0":    {"http://127.0.0.1:0/desc.xml", nil, "a port that is none"},
		"location large":     {"http://127.0.0.1:65536/desc.xml", nil, "a port that is none"},
		"location none":      {"http://127.0.0.1:8\x1b0/", nil, "an address that is none"},
		"redirect":           {"", func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, other.URL, http.StatusFound) }, errRedirect.Error()},
		"base elsewhere":     {"", describes(elsewhere, "/ctl"), errElsewhere.Error()},
		"control elsewhere":  {"", describes("", elsewhere+"/ctl"), errElsewhere.Error()},
		"control no scheme":  {"", describes("", "//127.0.0.2/ctl"), errElsewhere.Error()},
		"control by name":    {"", describes("", byName+"/ctl"), errElsewhere.Error()},
		"status":             {"", http.NotFound, "status 404"},
		"no services":        {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<root/>") }, "no mappings"},    //nolint:errcheck // a test
		"not XML":            {"", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "\x1b[2J") }, "cannot be read"}, //nolint:errcheck // a test
		"too long":           {"", long, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRouter(t)
			if c.page != nil {
				r.page = c.page
			}
			if c.location != "" {
				r.location = c.location
			}
			_, err := describe(t.Context(), local, r.location)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

// zeros is text without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// TestFence: whatever the URL says, nobody but the router is dialled.
func TestFence(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	client := fence(netip.MustParseAddr("127.0.0.2"), 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, other.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := client.Do(request); !errors.Is(err, errElsewhere) {
		t.Errorf("%v %v", answer, err)
		answer.Body.Close()
	}
}

// TestSlow: a description that does not end is given up with the context.
func TestSlow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := newFakeRouter(t)
	r.page = func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, "<root>")           //nolint:errcheck // a test
		http.NewResponseController(w).Flush() //nolint:errcheck // a test
		cancel()
		<-q.Context().Done()
	}
	if _, err := describe(ctx, local, r.location); err == nil {
		t.Error("described")
	}
}

// TestSearch: only an answer of the router itself counts, and one that is whole.
func TestSearch(t *testing.T) {
	padded := append(searchAnswer("http://127.0.0.1:1/long"), make([]byte, maxSearchAnswer)...)
	at := lyingRouter(t, [][]byte{searchAnswer("http://127.0.0.1:1/stranger")}, [][]byte{
		nil, []byte("HTTP/1.1 200 OK\r\n"), padded,
		[]byte("HTTP/1.1 404 Not Found\r\nST: " + gatewayDevices[0] + "\r\nLOCATION: http://127.0.0.1:1/404\r\n\r\n"),
		[]byte("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nLOCATION: http://127.0.0.1:1/tv\r\n\r\n"),
		searchAnswer("http://127.0.0.1:1/truth"),
	})
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := search{c: c, router: at}
	if got, err := s.next(t.Context()); err != nil || got != "http://127.0.0.1:1/truth" {
		t.Errorf("found %s, %v", got, err)
	}
}

// TestSearchEnds: a search that finds lies only ends with its context, and says what they were.
func TestSearchEnds(t *testing.T) {
	r := newFakeRouter(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.set(func() {
		r.page = func(w http.ResponseWriter, q *http.Request) {
			describes("", "http://127.0.0.2/")(w, q)
			context.AfterFunc(q.Context(), cancel) // when it has been read
		}
	})
	if _, err := searchUPnP(ctx, local, netip.AddrPortFrom(local, r.fake.SSDP), false); err == nil {
		t.Error("found")
	}
}

// TestFaults: what a router refuses or does otherwise than asked.
func TestFaults(t *testing.T) {
	foreign := map[string]string{"NewInternalPort": "22", "NewInternalClient": "127.0.0.9", "NewEnabled": "1", "NewLeaseDuration": "0"}
	own := map[string]string{"NewInternalPort": "22", "NewInternalClient": "127.0.0.1", "NewEnabled": "1", "NewLeaseDuration": "0"}
	for name, c := range map[string]struct {
		lie  func(*fakeRouter)
		want string // of the error; "": another port is given
		left int    // mappings at the end
	}{
		"taken":            {func(r *fakeRouter) { r.entries["6001"] = foreign }, "", 2},
		"taken by us":      {func(r *fakeRouter) { r.entries["6001"] = own }, "", 2},
		"conflict":         {func(r *fakeRouter) { r.faults["AddPortMapping"] = codeConflict }, errTaken.Error(), 0},
		"only permanent":   {func(r *fakeRouter) { r.faults["AddPortMapping"] = codeOnlyPermanent }, errPermanent.Error(), 0},
		"not authorized":   {func(r *fakeRouter) { r.faults["AddPortMapping"] = 606 }, "switched off", 0},
		"fault of no code": {func(r *fakeRouter) { r.answers["AddPortMapping"] = envelope + "<s:Fault/>" + envelopeEnd }, "UPnP error 0", 0},
		"permanent": {func(r *fakeRouter) {
			r.answers["GetSpecificPortMappingEntry"] = entryAnswer("127.0.0.1", "0")
		}, errPermanent.Error(), 0},
		"too long": {func(r *fakeRouter) {
			r.answers["GetSpecificPortMappingEntry"] = entryAnswer("127.0.0.1", "604800")
		}, "not what was asked", 0},
		"nothing done": {func(r *fakeRouter) { r.answers["AddPortMapping"] = envelope + "<a/>" + envelopeEnd }, "has none", 0},
		"long answer": {func(r *fakeRouter) {
			r.answers["AddPortMapping"] = envelope + "<!--" + strings.Repeat("0", 1<<20) + "-->" + envelopeEnd
		}, "does not answer AddPortMapping", 0},
		"no answer": {func(r *fakeRouter) { r.answers["AddPortMapping"] = "\x1b[2J" }, "does not answer AddPortMapping", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newFakeRouter(t)
			c.lie(r)
			got, err := r.igd().add(t.Context(), 6001, 6001, twoMinutes)
			switch {
			case c.want == "" && (err != nil || got.port < 49152 || got.lease != twoMinutes):
				t.Errorf("%v, %v", got, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %s", err, c.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\u202e") {
				t.Errorf("the router's own words: %q", err)
			}
			if n := r.has(); n != c.left {
				t.Errorf("%d mappings are left, want %d", n, c.left)
			}
		})
	}
}

// entryAnswer is what a router says of a mapping.
func entryAnswer(client, lease string) string {
	var b strings.Builder
	succeed(&b, "GetSpecificPortMappingEntry", map[string]string{"NewInternalPort": "6001", "NewInternalClient": client, "NewEnabled": "1", "NewLeaseDuration": lease})
	return b.String()
}

// TestRemoveOfOthers: what is somebody else's by now is not deleted.
func TestRemoveOfOthers(t *testing.T) {
	r := newFakeRouter(t)
	r.entries["6001"] = map[string]string{"NewInternalPort": "6001", "NewInternalClient": "127.0.0.9", "NewEnabled": "1", "NewLeaseDuration": "60"}
	if err := r.igd().remove(t.Context(), 6001, 6001); err != nil || slices.Contains(r.actions, "DeletePortMapping") {
		t.Error(err, r.actions)
	}
}

// TestControlRedirect: an order that is redirected is not given.
func TestControlRedirect(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	moved := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer moved.Close()
	r := newFakeRouter(t)
	r.page = describes("", moved.URL)
	if _, err := r.igd().external(t.Context()); err == nil || asked.Load() != 0 {
		t.Error(err, asked.Load())
	}
}

// TestExternal: an address that is none, or that leads nowhere.
func TestExternal(t *testing.T) {
	for s, kind := range map[string]error{
		"": ErrNoRouter, "\x1b[2J": ErrNoRouter, "::1": ErrNoRouter, "45.9.9.011": ErrNoRouter,
		"0.0.0.0": ErrNotPublic, "192.168.1.2": ErrNotPublic, "100.64.0.1": ErrNotPublic, "198.51.100.7": ErrNotPublic,
	} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			r := newFakeRouter(t)
			r.set(func() {
				r.outside = strings.ReplaceAll(s, "\x1b", "&#x7f;")
				r.pmp = func([]byte) [][]byte { return [][]byte{{0, opAddress | opAnswer, 0, 2}} }
			})
			_, err := r.keeper().Hold(t.Context(), 6001)
			r.set(func() {
				if !errors.Is(err, kind) || slices.Contains(r.actions, "AddPortMapping") {
					t.Errorf("%v, want %v", err, kind)
				}
			})
		})
	}
}
