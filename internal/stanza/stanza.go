// Package stanza holds XMPP stanzas (RFC 6120 section 8) as the protocol
// packages see them: addresses prepared, payload a tree, errors a Go error.
package stanza

import (
	"encoding/xml"
	"fmt"
	"strings"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// NSErrors qualifies the defined error conditions (RFC 6120 section 8.3.3).
const NSErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"

// IQType is the type attribute of an iq.
type IQType string

// The types of an iq that ask for an answer.
const (
	Get IQType = "get"
	Set IQType = "set"
)

// IQ is an iq request: what a peer asks of us.
type IQ struct {
	From, To jid.JID
	ID       string
	Type     IQType
	Payload  *xmltree.Element
}

// Message is a message with all its children.
type Message struct {
	From, To jid.JID
	ID, Type string
	Children []*xmltree.Element
}

// Child returns the first child of that name, or nil.
func (m Message) Child(space, local string) *xmltree.Element {
	return (&xmltree.Element{Children: m.Children}).Child(space, local)
}

// Presence is a presence with all its children.
type Presence struct {
	From, To jid.JID
	Type     string // "" is available
	Children []*xmltree.Element
}

// Error is a stanza error (RFC 6120 section 8.3), received or to be sent. Use
// errors.As; the text is the peer's and must be cleaned before display.
type Error struct {
	Type      string   // auth, cancel, continue, modify, wait
	Condition string   // the local name of the defined condition
	App       xml.Name // application specific condition, if any
	Text      string
	From      jid.JID // who answered; zero for an error of our own making
}

// The defined conditions that we look for or send.
const (
	BadRequest            = "bad-request"
	Conflict              = "conflict"
	FeatureNotImplemented = "feature-not-implemented"
	Forbidden             = "forbidden"
	ItemNotFound          = "item-not-found"
	NotAcceptable         = "not-acceptable"
	NotAllowed            = "not-allowed"
	NotAuthorized         = "not-authorized"
	RecipientUnavailable  = "recipient-unavailable"
	PolicyViolation       = "policy-violation"
	ResourceConstraint    = "resource-constraint"
	ServiceUnavailable    = "service-unavailable"
	UnexpectedRequest     = "unexpected-request"
)

// NewError makes an error to be sent, with the type that RFC 6120 recommends
// for the condition.
func NewError(condition string) *Error {
	typ := "cancel"
	switch condition {
	case BadRequest, NotAcceptable:
		typ = "modify"
	case Forbidden, NotAuthorized:
		typ = "auth"
	case RecipientUnavailable, ResourceConstraint, UnexpectedRequest:
		typ = "wait"
	}
	return &Error{Type: typ, Condition: condition}
}

// WithApp sets the application specific condition and returns e.
func (e *Error) WithApp(space, local string) *Error {
	e.App = xml.Name{Space: space, Local: local}
	return e
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("stanza error " + e.Condition)
	if e.App.Local != "" {
		b.WriteString(" (" + e.App.Local + ")")
	}
	if !e.From.IsZero() {
		fmt.Fprintf(&b, " from %s", e.From)
	}
	if e.Text != "" {
		fmt.Fprintf(&b, ": %q", e.Text)
	}
	return b.String()
}

// Element returns the <error/> child for an error stanza.
func (e *Error) Element(space string) *xmltree.Element {
	x := xmltree.New(space, "error", xmltree.New(NSErrors, e.Condition)).Set("type", e.Type)
	if e.Text != "" {
		x.Add(xmltree.New(NSErrors, "text").SetText(e.Text))
	}
	if e.App.Local != "" {
		x.Add(xmltree.New(e.App.Space, e.App.Local))
	}
	return x
}

// ParseError reads an <error/> child.
func ParseError(x *xmltree.Element, from jid.JID) *Error {
	e := &Error{Type: x.Attr("type"), Condition: "undefined-condition", From: from}
	if x == nil {
		return e
	}
	for _, c := range x.Children {
		switch {
		case c.Is(NSErrors, "text"):
			e.Text = c.Text
		case c.Name.Space == NSErrors:
			e.Condition = c.Name.Local
		default:
			e.App = c.Name
		}
	}
	return e
}
