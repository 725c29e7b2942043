package doctor

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// certificateSoon is how long before its end a certificate is warned of:
// authorities that renew by themselves do so 30 days before.
const certificateSoon = 14 * 24 * time.Hour

// DNSDetails are what the check "dns" found.
type DNSDetails struct {
	Domain string      `json:"domain"`
	Server string      `json:"server,omitempty"` // host:port that the configuration names instead
	SRV    []SRVRecord `json:"srv"`
}

// SRVRecord is one record of RFC 6120 (xmpp-client) or XEP-0368 (xmpps-client).
type SRVRecord struct {
	Service  string `json:"service"`
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Priority int    `json:"priority"`
	Weight   int    `json:"weight"`
}

// ConnectDetails are what the check "connect" found.
type ConnectDetails struct {
	Address string     `json:"address,omitempty"` // host:port that was taken
	Remote  string     `json:"remote,omitempty"`  // address and port
	Family  string     `json:"family,omitempty"`  // ipv4 or ipv6
	Tried   []HostInfo `json:"tried"`
}

// HostInfo is a host that was tried.
type HostInfo struct {
	Address   string   `json:"address"`
	Addresses []string `json:"addresses,omitempty"` // of a name
	Error     string   `json:"error,omitempty"`
	Seconds   float64  `json:"seconds"`
}

// TLSDetails are what the check "tls" found.
type TLSDetails struct {
	Mode            string   `json:"mode"` // direct or starttls
	Version         string   `json:"version"`
	Cipher          string   `json:"cipher"`
	NotAfter        string   `json:"not_after"` // RFC 3339, UTC
	ChannelBindings []string `json:"channel_bindings"`
}

// SASLDetails are what the check "sasl" found.
type SASLDetails struct {
	Mechanisms     []string `json:"mechanisms"`
	Mechanism      string   `json:"mechanism,omitempty"`       // that a login uses
	ChannelBinding string   `json:"channel_binding,omitempty"` // that it uses
}

// ServerFindings are what a look at the account's server says, as far as it
// came. Why it came no further is not among them: that is in.Err or
// in.MechanismErr. server is the configured host:port, or "".
func ServerFindings(in *session.Inspection, account jid.JID, server string, now time.Time) []Finding {
	out := []Finding{dnsFinding(in, account.Domain(), server), connectFinding(in)}
	if in.Link == nil {
		return out
	}
	return append(out, tlsFinding(in, now), saslFinding(in))
}

func dnsFinding(in *session.Inspection, domain, server string) Finding {
	d := DNSDetails{Domain: domain, Server: server, SRV: []SRVRecord{}}
	f := Finding{Area: AreaServer, Check: "dns", Status: StatusOK}
	var places []string
	for _, r := range in.SRV {
		host := clean.Text(strings.TrimSuffix(r.Target, "."))
		d.SRV = append(d.SRV, SRVRecord{r.Service, host, int(r.Port), int(r.Priority), int(r.Weight)})
		places = append(places, fmt.Sprintf("%s (%s)", net.JoinHostPort(host, fmt.Sprint(r.Port)), r.Service))
	}
	f.Details = d
	switch {
	case server != "":
		f.Text = "not asked: the configuration names " + server
	case !in.Asked:
		f.Text = "not asked for SRV records, " + domain + " itself is taken"
	case len(places) > 0:
		f.Text = "SRV records of " + domain + ": " + strings.Join(places, ", ")
	case in.SRVErr != nil:
		f.Status, f.Text = StatusWarn, "the SRV records of "+domain+" cannot be looked up: "+clean.Error(in.SRVErr)
		f.Hints = []string{"check the network and its name server; JETSEND_SERVER=host:port names a server that DNS does not"}
	default:
		f.Status, f.Text = StatusWarn, "no SRV records of "+domain+": the domain itself is tried on the usual ports"
		f.Hints = []string{"JETSEND_SERVER=host:port, or `server:` of the account, names a server that DNS does not"}
	}
	return f
}

func connectFinding(in *session.Inspection) Finding {
	d := ConnectDetails{Tried: []HostInfo{}}
	var failures []string
	failed := 0
	for _, a := range in.Attempts {
		h, failure := triedHost(a)
		if failure != "" {
			failed++
			if !slices.Contains(failures, failure) {
				failures = append(failures, failure)
			}
		}
		d.Tried = append(d.Tried, h)
	}
	f := Finding{Area: AreaServer, Check: "connect", Status: StatusOK}
	switch {
	case in.Link != nil:
		f.Text = d.answers(in.Link)
		if len(failures) > 0 {
			f.Status, f.Text = StatusWarn, f.Text+"; not "+strings.Join(failures, ", ")
		}
	case len(d.Tried) == 0:
		f.Status, f.Text = StatusFail, "nothing to connect to"
	case failed == len(d.Tried):
		f.Status, f.Text = StatusFail, "nothing answers: "+strings.Join(failures, ", ")
	default:
		f.Status, f.Text = StatusWarn, fmt.Sprintf("%d of %d hosts answer, none as it should", len(d.Tried)-failed, len(d.Tried))
	}
	f.Details = d
	return f
}

// triedHost says what became of a host, and how it failed, if it did.
func triedHost(a session.Attempt) (h HostInfo, failure string) {
	h = HostInfo{Address: clean.Text(a.Address), Seconds: a.Took.Seconds()}
	for _, addr := range a.Addrs {
		h.Addresses = append(h.Addresses, addr.String())
	}
	if a.Err == nil {
		return h, ""
	}
	h.Error = clean.Text(session.Plainly(a.Err))
	if dns := (*net.DNSError)(nil); errors.As(a.Err, &dns) {
		return h, h.Error // which has the name, and is so for each port
	}
	return h, h.Address + ": " + h.Error
}

// answers notes where the connection leads, and says it.
func (d *ConnectDetails) answers(link *session.Link) string {
	d.Address = clean.Text(link.Address)
	tcp, ok := link.Remote.(*net.TCPAddr)
	if !ok {
		return d.Address + " answers through the proxy of `socks5`"
	}
	d.Remote, d.Family = tcp.String(), "ipv6"
	if tcp.IP.To4() != nil {
		d.Family = "ipv4"
	}
	return fmt.Sprintf("%s answers (%s, %s)", d.Address, d.Remote, d.Family)
}

func tlsFinding(in *session.Inspection, now time.Time) Finding {
	cs := in.Link.TLS
	d := TLSDetails{Mode: "starttls", Version: tls.VersionName(cs.Version), Cipher: tls.CipherSuiteName(cs.CipherSuite), ChannelBindings: cleaned(in.Bindings)}
	if in.Link.Direct {
		d.Mode = "direct"
	}
	f := Finding{Area: AreaServer, Check: "tls", Status: StatusOK, Text: fmt.Sprintf("%s, %s", d.Version, d.Mode)}
	if len(cs.PeerCertificates) > 0 {
		end := cs.PeerCertificates[0].NotAfter
		d.NotAfter = end.UTC().Format(time.RFC3339)
		f.Text += ", certificate until " + end.UTC().Format(time.DateOnly)
		if end.Sub(now) < certificateSoon {
			f.Status, f.Hints = StatusWarn, []string{"tell the operator of the server that its certificate ends soon"}
		}
	}
	if len(d.ChannelBindings) > 0 {
		f.Text += ", channel binding " + strings.Join(d.ChannelBindings, " ")
	} else {
		f.Text += ", no channel binding told"
	}
	f.Details = d
	return f
}

func saslFinding(in *session.Inspection) Finding {
	d := SASLDetails{Mechanisms: cleaned(in.Mechanisms), Mechanism: in.Mechanism, ChannelBinding: in.Binding}
	f := Finding{Area: AreaServer, Check: "sasl", Status: StatusOK, Details: d}
	f.Text = "offered: " + strings.Join(d.Mechanisms, " ")
	switch {
	case in.MechanismErr != nil:
		f.Status = StatusFail
		f.Text += "; none of them will do"
	case in.Mechanism == "PLAIN":
		f.Status = StatusWarn
		f.Text += "; PLAIN is used, the server sees the password"
	default:
		f.Text += "; used: " + in.Mechanism
		if in.Binding != "" {
			f.Text += " with " + in.Binding
		}
	}
	return f
}

// maxWords bounds a list of words that a server sent.
const maxWords = 20

// cleaned are words that a server sent, fit to be shown; never nil.
func cleaned(words []string) []string {
	out := []string{}
	for _, w := range words[:min(len(words), maxWords)] {
		out = append(out, clean.Text(w))
	}
	return out
}
