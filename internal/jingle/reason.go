package jingle

import (
	"strings"
	"unicode/utf8"

	"jetsend/internal/xmltree"
)

// The conditions of a reason (XEP-0166 section 7.4).
const (
	AlternativeSession      = "alternative-session"
	Busy                    = "busy"
	Cancel                  = "cancel"
	ConnectivityError       = "connectivity-error"
	Decline                 = "decline"
	Expired                 = "expired"
	FailedApplication       = "failed-application"
	FailedTransport         = "failed-transport"
	GeneralError            = "general-error"
	Gone                    = "gone"
	IncompatibleParameters  = "incompatible-parameters"
	MediaError              = "media-error"
	SecurityError           = "security-error"
	Success                 = "success"
	Timeout                 = "timeout"
	UnsupportedApplications = "unsupported-applications"
	UnsupportedTransports   = "unsupported-transports"
)

// maxReasonText bounds the peer's text, in bytes: it is for one line of output.
const maxReasonText = 512

// Reason says why a session ended (XEP-0166 section 7.4).
type Reason struct {
	// Condition is one of the constants above. Of a peer that names none, or
	// one that we do not know, it is general-error.
	Condition string
	// Text is for people. The peer's must be cleaned before it is displayed.
	Text string
	// Detail is an element of another name space, such as our reason-detail
	// or the file-not-available of XEP-0234; nil when there is none.
	Detail *xmltree.Element
}

// String returns the condition and the quoted text.
func (r Reason) String() string {
	if r.Text == "" {
		return r.Condition
	}
	return r.Condition + " (" + strings.ToValidUTF8(r.Text, "") + ")"
}

// Element returns the <reason/>.
func (r Reason) Element() *xmltree.Element {
	e := xmltree.New(NS, "reason", xmltree.New(NS, r.Condition))
	if r.Text != "" {
		e.Add(xmltree.New(NS, "text").SetText(r.Text))
	}
	return e.Add(r.Detail)
}

// ParseReason reads a <reason/>; nil is no reason given. Dino writes an
// underscore for the hyphen of failed-transport and failed-application.
func ParseReason(e *xmltree.Element) Reason {
	if e == nil {
		return Reason{Condition: GeneralError, Text: "no reason given"}
	}
	r := Reason{}
	unknown := ""
	for _, c := range e.Children {
		switch {
		case c.Is(NS, "text"):
			r.Text = clip(strings.TrimSpace(c.Text), maxReasonText)
		case c.Name.Space != NS:
			if r.Detail == nil {
				r.Detail = c
			}
		case r.Condition != "":
		default:
			name := strings.ReplaceAll(c.Name.Local, "_", "-")
			if knownCondition(name) {
				r.Condition = name
			} else if unknown == "" {
				unknown = name
			}
		}
	}
	if r.Condition == "" {
		r.Condition = GeneralError
		if r.Text == "" && unknown != "" {
			r.Text = clip("unknown reason "+unknown, maxReasonText)
		}
	}
	return r
}

func knownCondition(s string) bool {
	switch s {
	case AlternativeSession, Busy, Cancel, ConnectivityError, Decline, Expired, FailedApplication, FailedTransport,
		GeneralError, Gone, IncompatibleParameters, MediaError, SecurityError, Success, Timeout,
		UnsupportedApplications, UnsupportedTransports:
		return true
	}
	return false
}

// clip shortens s to n bytes at a character boundary.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
