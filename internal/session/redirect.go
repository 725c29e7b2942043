package session

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"jetsend/internal/xmltree"
)

// nsStreamErrors qualifies the conditions of a stream error (RFC 6120 section 4.9.2).
const nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"

// conditionOther is the stream error with which a server sends its clients to
// another host (RFC 6120 section 4.9.3.19).
const conditionOther = "see-other-host"

// parseStreamError reads the error with which the server ends the stream. To
// another host only a server may send us that has proved its identity: what is
// said in the clear may be anybody's word.
func parseStreamError(el *xmltree.Element, t *transport) *StreamError {
	e := &StreamError{Condition: "undefined-condition", proved: t.IsSecure()}
	for _, c := range el.Children {
		switch {
		case c.Is(nsStreamErrors, "text"):
			e.Text = c.Text
		case c.Name.Space == nsStreamErrors:
			e.Condition = c.Name.Local
			if c.Name.Local == conditionOther && e.proved {
				e.other = parsePlace(strings.TrimSpace(c.Text), t.direct)
			}
		}
	}
	return e
}

// redirection returns where the server sends us with err, or nil.
func redirection(err error) *target {
	var se *StreamError
	if errors.As(err, &se) {
		return se.other
	}
	return nil
}

// redirected takes a redirection for the next attempt. The certificate is
// checked there as here, against the domain of the account.
func (s *Session) redirected(err error) bool {
	other := redirection(err)
	if other == nil {
		return false
	}
	s.log.Debug("sent to another host", "address", other.address)
	s.next = other
	return true
}

// preferred returns the host to try before those of DNS, once: where the
// server has sent us, or where it would like prev to be resumed (XEP-0198
// section 5).
func (s *Session) preferred(prev *binding) *target {
	tg := s.next
	s.next = nil
	if tg == nil && prev != nil {
		tg = parsePlace(prev.sm.place(), prev.direct)
	}
	return tg
}

// parsePlace reads the host, with or without a port, that a server names. It
// is nil for what is none. direct tells how the server that names it was spoken to.
func parsePlace(place string, direct bool) *target {
	host, port, err := net.SplitHostPort(place)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(place, "["), "]"), portStartTLS
		if direct {
			port = portDirectTLS
		}
	}
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return nil
	}
	if !strings.Contains(host, ":") {
		if host, err = asciiDomain(host); err != nil || host == "" {
			return nil
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil
	}
	if port == portStartTLS {
		direct = false
	}
	return &target{
		address: net.JoinHostPort(host, port),
		direct:  direct || port == portDirectTLS || port == portHTTPS,
	}
}
