package jingle

import (
	"fmt"

	"jetsend/internal/xmltree"
)

// Security is the <security/> of XEP-0391 section 4: the envelope that carries
// the transport secret, and the cipher the secret is for.
type Security struct {
	Name     string           // content name; Dino leaves it out
	Cipher   string           // URN of the cipher
	Type     string           // name space of the envelope
	Envelope *xmltree.Element // its only child
}

// Element returns the <security/>.
func (s *Security) Element() *xmltree.Element {
	e := xmltree.New(NSJET, "security")
	if s.Name != "" {
		e.Set("name", s.Name)
	}
	return e.Set("cipher", s.Cipher).Set("type", s.Type).Add(s.Envelope)
}

// ParseSecurity reads a <security/>. It is strict: exactly one envelope, of
// the name space that the type names.
func ParseSecurity(e *xmltree.Element) (*Security, error) {
	if !e.Is(NSJET, "security") {
		return nil, fmt.Errorf("security element: %w", ErrMalformed)
	}
	s := &Security{Name: e.Attr("name"), Cipher: e.Attr("cipher"), Type: e.Attr("type")}
	if s.Cipher == "" || s.Type == "" || len(e.Children) != 1 {
		return nil, fmt.Errorf("security element: %w", ErrMalformed)
	}
	s.Envelope = e.Children[0]
	if s.Envelope.Name.Space != s.Type {
		return nil, fmt.Errorf("security envelope is not of type %q: %w", s.Type, ErrMalformed)
	}
	return s, nil
}
