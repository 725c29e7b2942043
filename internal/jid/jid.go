// Package jid holds XMPP addresses (RFC 7622) as comparable values.
//
// Preparation and checking are done by mellium.im/xmpp/jid; its own type holds
// a byte slice and so can be neither compared nor used as a map key, which is
// all that this package adds.
package jid

import (
	"fmt"

	mjid "mellium.im/xmpp/jid"
)

// JID is a prepared (normalised) XMPP address. Two equal addresses are equal
// values. The zero value is no address; see [JID.IsZero].
type JID struct {
	bare     string // local@domain or domain
	resource string // without the slash, empty for a bare JID
}

// Parse prepares and checks s.
func Parse(s string) (JID, error) {
	j, err := mjid.Parse(s)
	if err != nil {
		return JID{}, fmt.Errorf("address %q: %w", s, err)
	}
	// Preparation is not stable for every input ("..", some mixtures of scripts):
	// what does not prepare to itself has no one form to compare and is refused.
	again, err := mjid.Parse(j.String())
	if err != nil || !again.Equal(j) {
		return JID{}, fmt.Errorf("address %q has no stable form", s)
	}
	return JID{bare: j.Bare().String(), resource: j.Resourcepart()}, nil
}

// MustParse is Parse for constants and tests; it panics on an error.
func MustParse(s string) JID {
	j, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// WithResource returns the full JID of j's bare JID and the resource r.
func (j JID) WithResource(r string) (JID, error) {
	return Parse(j.bare + "/" + r)
}

// Bare returns j without its resource.
func (j JID) Bare() JID { return JID{bare: j.bare} }

// IsBare reports whether j has no resource.
func (j JID) IsBare() bool { return j.resource == "" }

// IsZero reports whether j is no address at all.
func (j JID) IsZero() bool { return j.bare == "" }

// Resource returns the resource part, or "".
func (j JID) Resource() string { return j.resource }

// Local returns the part before the @, or "".
func (j JID) Local() string {
	for i := range len(j.bare) {
		if j.bare[i] == '@' {
			return j.bare[:i]
		}
	}
	return ""
}

// Domain returns the domain part.
func (j JID) Domain() string {
	for i := range len(j.bare) {
		if j.bare[i] == '@' {
			return j.bare[i+1:]
		}
	}
	return j.bare
}

// String returns the address in its prepared form.
func (j JID) String() string {
	if j.resource == "" {
		return j.bare
	}
	return j.bare + "/" + j.resource
}
