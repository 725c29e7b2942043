package s5b

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"jetsend/internal/xmltree"
)

// The types of a candidate (XEP-0260 section 2.2).
const (
	Direct   = "direct"
	Assisted = "assisted"
	Tunnel   = "tunnel"
	Mediated = "proxy" // by a SOCKS5 proxy
)

// Bounds on what is taken from a peer.
const (
	// maxParsed bounds the candidates read from one element; no client offers
	// nearly as many.
	maxParsed = 64
	// maxAttr bounds an attribute, in bytes: the length of a SOCKS5 address,
	// and more than a host name may have.
	maxAttr = 255
	// defaultPort is the port of a candidate that names none (XEP-0065).
	defaultPort = 1080
)

// Candidate is a place where a SOCKS5 server awaits the other side.
type Candidate struct {
	CID      string // unique in the session
	Host     string // IP address or name
	Port     int
	JID      string // whose server it is: a client or a proxy; may be missing
	Priority uint32
	Type     string
}

// Element returns the <candidate/>.
func (c Candidate) Element() *xmltree.Element {
	return xmltree.New(NS, "candidate").
		Set("cid", c.CID).
		Set("host", c.Host).
		Set("jid", c.JID).
		Set("port", strconv.Itoa(c.Port)).
		Set("priority", strconv.FormatUint(uint64(c.Priority), 10)).
		Set("type", c.Type)
}

// Transport is a parsed transport element: an offer, an answer or a report.
type Transport struct {
	SID        string
	DstAddr    string // empty when absent or unusable
	Candidates []Candidate

	Used       string // cid of candidate-used, empty when there is none
	Failed     bool   // candidate-error
	Activated  bool
	ActiveCID  string // cid of activated; may be missing
	ProxyError bool
	ErrorCID   string // cid of proxy-error; may be missing
}

// ParseTransport reads a <transport/>. Candidates that are malformed or of an
// unknown type are skipped: some clients write types of their own.
func ParseTransport(e *xmltree.Element) (*Transport, error) {
	if !e.Is(NS, "transport") {
		return nil, fmt.Errorf("socks5 transport element: %w", ErrProtocol)
	}
	if m := e.Attr("mode"); m != "" && m != "tcp" {
		return nil, fmt.Errorf("socks5 transport mode %q: %w", m, ErrProtocol)
	}
	t := &Transport{SID: e.Attr("sid"), DstAddr: e.Attr("dstaddr")}
	if len(t.DstAddr) > maxAttr {
		t.DstAddr = ""
	}
	for _, c := range e.Children {
		switch c.Name.Local {
		case "candidate":
			if x, ok := parseCandidate(c); ok && len(t.Candidates) < maxParsed {
				t.Candidates = append(t.Candidates, x)
			}
		case "candidate-used":
			t.Used = c.Attr("cid")
			if t.Used == "" {
				return nil, fmt.Errorf("candidate-used without cid: %w", ErrProtocol)
			}
		case "candidate-error":
			t.Failed = true
		case "activated":
			t.Activated, t.ActiveCID = true, c.Attr("cid")
		case "proxy-error":
			t.ProxyError, t.ErrorCID = true, c.Attr("cid")
		}
	}
	return t, nil
}

// parseCandidate reads a <candidate/>. Psi leaves out jid and type of direct
// candidates, Conversations' old ones the port of a proxy.
func parseCandidate(e *xmltree.Element) (Candidate, bool) {
	c := Candidate{
		CID: e.Attr("cid"), Host: strings.TrimSpace(e.Attr("host")), JID: e.Attr("jid"),
		Port: defaultPort, Type: Direct,
	}
	if t, ok := e.LookupAttr("type"); ok {
		c.Type = t
	}
	if p, ok := e.LookupAttr("port"); ok {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return c, false
		}
		c.Port = int(n)
	}
	prio, err := strconv.ParseUint(e.Attr("priority"), 10, 32)
	c.Priority = uint32(prio)
	switch c.Type {
	case Direct, Assisted, Tunnel, Mediated:
	default:
		return c, false
	}
	return c, err == nil && c.CID != "" && len(c.CID) <= maxAttr && len(c.JID) <= 4*maxAttr && validHost(c.Host)
}

// validHost reports whether s is an IP address without zone, or looks like a
// host name.
func validHost(s string) bool {
	if s == "" || len(s) > maxAttr {
		return false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	for _, r := range s {
		if !(r == '-' || r == '.' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r > 0x7f) {
			return false
		}
	}
	return true
}
