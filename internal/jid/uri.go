package jid

import (
	"fmt"
	"net/url"
	"strings"
)

// Scheme begins the URI of an XMPP entity (RFC 5122).
const Scheme = "xmpp:"

// ParseTyped is [Parse] for what a person types or pastes: an address, or the URI by
// which clients show it in links and QR codes. The action that a URI asks for
// ("?message", "?subscribe") is no part of the address.
func ParseTyped(s string) (JID, error) {
	path, ok := CutScheme(s)
	if !ok {
		return Parse(s)
	}
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	if strings.HasPrefix(path, "/") { // an authority, which is the account to use
		return JID{}, fmt.Errorf("address %q: write it as %sname@domain", s, Scheme)
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return JID{}, fmt.Errorf("address %q: %w", s, err)
	}
	return Parse(plain)
}

// CutScheme takes the scheme off a URI, in whatever case it is written, and reports
// whether it was there.
func CutScheme(s string) (rest string, ok bool) {
	if len(s) < len(Scheme) || !strings.EqualFold(s[:len(Scheme)], Scheme) {
		return s, false
	}
	return s[len(Scheme):], true
}
