package crypto

import (
	"fmt"
	"strings"
)

// Suite is a cipher suite of XEP-0391, section "Ciphers". Suites are
// comparable; the zero value is none.
type Suite uint8

// The suites of XEP-0391 that jetsend has.
const (
	// AES128GCM is AES-128 in GCM; what XEP-0396 clients use.
	AES128GCM Suite = iota + 1
	// AES256GCM is AES-256 in GCM; what the jetsend:1 profile uses.
	AES256GCM
)

const (
	urnAES128GCM = "urn:xmpp:ciphers:aes-128-gcm-nopadding"
	urnAES256GCM = "urn:xmpp:ciphers:aes-256-gcm-nopadding"
	// urnVersion ends the URNs in the text of XEP-0391; the clients in the
	// field leave it out.
	urnVersion = ":0"
	// maxQuotedURN bounds what a peer can put into an error text by an unknown
	// cipher; it is well above the length of every real URN.
	maxQuotedURN = 64
)

// ParseSuite gives the suite of a cipher URN, with or without the ":0" at its
// end. Anything else is an error that wraps [ErrUnknownSuite].
func ParseSuite(urn string) (Suite, error) {
	switch strings.TrimSuffix(urn, urnVersion) {
	case urnAES128GCM:
		return AES128GCM, nil
	case urnAES256GCM:
		return AES256GCM, nil
	}
	if len(urn) > maxQuotedURN {
		urn = urn[:maxQuotedURN]
	}
	return 0, fmt.Errorf("%w %q", ErrUnknownSuite, urn)
}

// URN is the suite's name as XEP-0391 writes it, with ":0": for the jetsend:1
// profile and for draft peers. It is empty for an unknown suite.
func (s Suite) URN() string {
	if u := s.ShortURN(); u != "" {
		return u + urnVersion
	}
	return ""
}

// ShortURN is the suite's name without ":0", as XEP-0396 clients write and
// expect it. It is empty for an unknown suite.
func (s Suite) ShortURN() string {
	switch s {
	case AES128GCM:
		return urnAES128GCM
	case AES256GCM:
		return urnAES256GCM
	}
	return ""
}

// KeySize is the length of the suite's key in bytes, 0 for an unknown suite.
func (s Suite) KeySize() int {
	switch s {
	case AES128GCM:
		return 16
	case AES256GCM:
		return 32
	}
	return 0
}

// Name is the suite's short name for flags and events, such as "aes-256-gcm".
// It is empty for an unknown suite.
func (s Suite) Name() string {
	switch s {
	case AES128GCM:
		return "aes-128-gcm"
	case AES256GCM:
		return "aes-256-gcm"
	}
	return ""
}
