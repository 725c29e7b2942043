package portmap

import (
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

var (
	local   = netip.MustParseAddr("127.0.0.1")
	outside = netip.MustParseAddr("45.9.9.11")
)

// fakeRouter is a router on loopback, at our own address, whose NAT-PMP, search and HTTP
// can be made to lie.
type fakeRouter struct {
	t    *testing.T
	web  *httptest.Server
	fake Fake

	mu       sync.Mutex
	pmp      func(request []byte) [][]byte // the answers to a request; nil: none
	location string                        // what a search is answered; "": nothing
	page     http.HandlerFunc              // the description
	entries  map[string]map[string]string  // the mappings, by external port
	faults   map[string]int                // the code that an action fails with
	answers  map[string]string             // what is answered to an action instead
	actions  []string                      // what was asked for
	outside  string
}

// newFakeRouter returns a router that knows UPnP and keeps silent about NAT-PMP.
func newFakeRouter(t *testing.T) *fakeRouter {
	r := &fakeRouter{t: t, entries: map[string]map[string]string{}, faults: map[string]int{}, answers: map[string]string{}, outside: outside.String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/desc.xml", func(w http.ResponseWriter, q *http.Request) { r.description()(w, q) })
	mux.HandleFunc("/ctl", r.control)
	r.web = httptest.NewServer(mux)
	t.Cleanup(r.web.Close)
	r.location = r.web.URL + "/desc.xml"
	r.page = describes("", "/ctl")
	r.fake.NATPMP = r.listen("127.0.0.1:0", func(b []byte) [][]byte {
		if r.pmp == nil {
			return nil
		}
		return r.pmp(b)
	})
	r.fake.SSDP = r.listen("127.0.0.1:0", func([]byte) [][]byte { return r.found() })
	return r
}

// description is what serves it now.
func (r *fakeRouter) description() http.HandlerFunc {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.page
}

// set changes what the router does.
func (r *fakeRouter) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// found is the answer to a search.
func (r *fakeRouter) found() [][]byte {
	if r.location == "" {
		return nil
	}
	return [][]byte{searchAnswer(r.location)}
}

func searchAnswer(location string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nST: %s\r\nLOCATION: %s\r\nUSN: uuid:1\r\nEXT:\r\n\r\n", gatewayDevices[0], location)
}

// listen answers datagrams.
func (r *fakeRouter) listen(at string, answers func([]byte) [][]byte) uint16 {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if err != nil {
		r.t.Skip(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			r.mu.Lock()
			all := answers(b[:n])
			r.mu.Unlock()
			for _, a := range all {
				c.WriteToUDPAddrPort(a, from) //nolint:errcheck // who asked may be gone
			}
		}
	})
	r.t.Cleanup(func() { c.Close(); done.Wait() })
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return netip.MustParseAddrPort("127.0.0.1:" + port).Port()
}

// describes serves a description of a gateway.
func describes(base, control string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, descriptionOf(base, control)) } //nolint:errcheck // a test
}

func descriptionOf(base, control string) string {
	if base != "" {
		base = "<URLBase>" + base + "</URLBase>"
	}
	service := "<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>" + control + "</controlURL></service>"
	return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">` + base +
		`<device><deviceList><device><deviceList><device><serviceList>` + service +
		`</serviceList></device></deviceList></device></deviceList></device></root>`
}

// control does what a WANIPConnection does.
func (r *fakeRouter) control(w http.ResponseWriter, q *http.Request) {
	_, action, _ := strings.Cut(strings.Trim(q.Header.Get("SOAPACTION"), `"`), "#")
	arguments := arguments(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.actions = append(r.actions, action)
	if a, ok := r.answers[action]; ok {
		io.WriteString(w, a) //nolint:errcheck // a test
		return
	}
	if code := r.faults[action]; code != 0 {
		fault(w, code)
		return
	}
	port := arguments["NewExternalPort"]
	have := r.entries[port]
	switch action {
	case "GetExternalIPAddress":
		succeed(w, action, map[string]string{"NewExternalIPAddress": r.outside})
	case "AddPortMapping":
		if have != nil && have["NewInternalClient"] != arguments["NewInternalClient"] {
			fault(w, codeConflict)
			return
		}
		r.entries[port] = arguments
		succeed(w, action, nil)
	case "GetSpecificPortMappingEntry":
		if have == nil {
			fault(w, codeNoSuchEntry)
			return
		}
		succeed(w, action, have)
	case "DeletePortMapping":
		delete(r.entries, port)
		succeed(w, action, nil)
	}
}

// arguments reads those of an action: the elements that have text.
func arguments(body io.Reader) map[string]string {
	out := map[string]string{}
	name := ""
	for d := xml.NewDecoder(body); ; {
		token, err := d.Token()
		if err != nil {
			return out
		}
		switch x := token.(type) {
		case xml.StartElement:
			name = x.Name.Local
		case xml.CharData:
			if name != "" {
				out[name] = string(x)
			}
		}
	}
}

const (
	envelope    = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>`
	envelopeEnd = `</s:Body></s:Envelope>`
)

func succeed(w io.Writer, action string, values map[string]string) {
	io.WriteString(w, envelope+"<u:"+action+`Response xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">`) //nolint:errcheck // a test
	for name, v := range values {
		fmt.Fprintf(w, "<%s>%s</%s>", name, v, name)
	}
	io.WriteString(w, "</u:"+action+"Response>"+envelopeEnd) //nolint:errcheck // a test
}

func fault(w http.ResponseWriter, code int) {
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, envelope+"<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"+
		`<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>`+"no \u202e"+`</errorDescription></UPnPError></detail></s:Fault>`+envelopeEnd, code)
}

// igd returns the router's service, as if it had been searched for.
func (r *fakeRouter) igd() *igd {
	r.t.Helper()
	found, err := describe(r.t.Context(), local, r.location)
	if err != nil {
		r.t.Fatal(err)
	}
	return newIGD(local, local, found[0])
}

// keeper returns a Keeper whose router this is.
func (r *fakeRouter) keeper() *Keeper {
	k := New(Config{Gateway: func() (netip.Addr, netip.Addr, error) { return local, local, nil }, Fake: &r.fake})
	r.t.Cleanup(k.Close)
	return k
}

// has returns how many mappings the router has.
func (r *fakeRouter) has() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}

// pmpAddress and pmpMapping are answers by NAT-PMP.
func pmpAddress(a netip.Addr, epoch uint32) []byte {
	four := a.As4()
	return append(binary.BigEndian.AppendUint32([]byte{0, opAddress | opAnswer, 0, 0}, epoch), four[:]...)
}

func pmpMapping(internal, external uint16, seconds, epoch uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, opMapTCP | opAnswer, 0, 0}, epoch)
	b = binary.BigEndian.AppendUint16(b, internal)
	b = binary.BigEndian.AppendUint16(b, external)
	return binary.BigEndian.AppendUint32(b, seconds)
}

// lyingRouter answers every datagram twice: a stranger answers first, from another address
// and from another port, and then the router itself.
func lyingRouter(t *testing.T, stranger, router [][]byte) netip.AddrPort {
	var all []*net.UDPConn
	for _, ip := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)} {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip})
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	var done sync.WaitGroup
	done.Go(func() {
		b := make([]byte, 2048)
		for {
			_, from, err := all[0].ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			for _, a := range stranger {
				all[1].WriteToUDPAddrPort(a, from) //nolint:errcheck // a test
			}
			for _, a := range router {
				all[0].WriteToUDPAddrPort(a, from) //nolint:errcheck // a test
			}
		}
	})
	t.Cleanup(func() { all[0].Close(); done.Wait() })
	return netip.MustParseAddrPort(all[0].LocalAddr().String())
}
