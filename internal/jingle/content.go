package jingle

import (
	"fmt"

	"jetsend/internal/xmltree"
)

// The values of [Content].Senders and Creator.
const (
	SenderInitiator = "initiator"
	SenderResponder = "responder"
	senderBoth      = "both"
	senderNone      = "none"
)

// Content is one <content/> of a session (XEP-0166 section 7.3): what is
// transferred, over what, and how it is protected.
type Content struct {
	Creator string // SenderInitiator or SenderResponder; empty is the initiator
	Name    string
	Senders string // who sends data; empty is the initiator, as file transfer clients mean it
	// SendersOmitted leaves senders out of the element, where it is the
	// initiator by default: the documents before XEP-0391 write it so.
	SendersOmitted bool

	Description *xmltree.Element
	Transport   *xmltree.Element
	Security    *xmltree.Element // of any name space; nil when there is none

	Extra []*xmltree.Element // all other children

	// Inferred tells that the peer left out creator or senders, or who is the
	// initiator (of an offer) or the responder (of an accept). All of them have
	// defaults; a profile that binds them can insist on reading them.
	Inferred bool
}

// Element returns the <content/>.
func (c Content) Element() *xmltree.Element {
	e := xmltree.New(NS, "content").Set("creator", orInitiator(c.Creator)).Set("name", c.Name)
	if !c.SendersOmitted {
		e.Set("senders", orInitiator(c.Senders))
	}
	return e.Add(c.Description, c.Transport, c.Security).Add(c.Extra...)
}

// ParseContent reads a <content/>. Creator and senders may be missing, and are
// then empty. More than one description, transport or security is malformed: two readers could take
// different ones.
func ParseContent(e *xmltree.Element) (Content, error) {
	c := Content{Creator: e.Attr("creator"), Name: e.Attr("name"), Senders: e.Attr("senders")}
	if !e.Is(NS, "content") {
		return c, fmt.Errorf("content: %w", ErrMalformed)
	}
	switch c.Creator {
	case "", SenderInitiator, SenderResponder:
	default:
		return c, fmt.Errorf("content creator: %w", ErrMalformed)
	}
	switch c.Senders {
	case "", SenderInitiator, SenderResponder, senderBoth, senderNone:
	default:
		return c, fmt.Errorf("content senders: %w", ErrMalformed)
	}
	if d := e.Attr("disposition"); d != "" && d != "session" {
		return c, fmt.Errorf("content disposition: %w", ErrMalformed)
	}
	for _, k := range e.Children {
		var slot **xmltree.Element
		switch k.Name.Local {
		case "description":
			slot = &c.Description
		case "transport":
			slot = &c.Transport
		case "security":
			slot = &c.Security
		default:
			c.Extra = append(c.Extra, k)
			continue
		}
		if *slot != nil {
			return c, fmt.Errorf("content with two %s: %w", k.Name.Local, ErrMalformed)
		}
		*slot = k
	}
	return c, nil
}

// filled returns c with its creator and senders, where they are missing, those of d.
func (c Content) filled(d Content) Content {
	c.Inferred = c.Inferred || c.Creator == "" || c.Senders == ""
	if c.Creator == "" {
		c.Creator = d.Creator
	}
	if c.Senders == "" {
		c.Senders = d.Senders
	}
	return c
}

// orInitiator fills in the default of creator and senders.
func orInitiator(s string) string {
	if s == "" {
		return SenderInitiator
	}
	return s
}
