package invite

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// The members of a link. Other clients take what they know: the contact, the token of
// XEP-0379, and the keys of XEP-0384.
const (
	actionRoster = "roster"
	memberToken  = "preauth"
	memberDevice = "omemo-sid-"
	memberOurs   = "jetsend"
)

// ErrLink means that a text is no invitation of ours.
var ErrLink = errors.New("not an invitation of jetsend")

// Link is an invitation as it is given to somebody: who has it is who is invited.
type Link struct {
	Letter
	Secret [SecretSize]byte
}

// NewLink draws an invitation.
func NewLink(issuer jid.JID, names Names) *Link {
	l := &Link{Letter: Letter{Issuer: issuer.Bare(), Names: names}}
	_, _ = rand.Read(l.ID[:]) // never fails, see crypto/rand.Read
	_, _ = rand.Read(l.Secret[:])
	return l
}

// Keys are those that the secret is good for.
func (l *Link) Keys() Keys { return KeysOf(l.ID, l.Secret) }

// Token is that of XEP-0379, by which other clients are known. The servers see it, and it
// proves nothing.
func (l *Letter) Token() string { return encode(l.ID[:]) }

// String is the link as text. It is a secret.
func (l *Link) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s?%s;%s=%s", jid.Scheme, url.PathEscape(l.Issuer.String()), actionRoster, memberToken, l.Token())
	for _, d := range l.Names {
		fmt.Fprintf(&b, ";%s%d=%s", memberDevice, d.ID, hex.EncodeToString(d.Key[:]))
	}
	fmt.Fprintf(&b, ";%s=%s.%s.%s", memberOurs, version, encode(l.ID[:]), encode(l.Secret[:]))
	return b.String()
}

// IsLink reports whether a text is meant as an invitation of ours.
func IsLink(text string) bool {
	rest, ok := jid.CutScheme(strings.TrimSpace(text))
	return ok && slices.ContainsFunc(members(rest), func(m string) bool { return strings.HasPrefix(m, memberOurs+"=") })
}

// members are those behind the question mark.
func members(uri string) []string {
	_, query, _ := strings.Cut(uri, "?")
	query, _, _ = strings.Cut(query, "#")
	return strings.FieldsFunc(query, func(r rune) bool { return r == ';' || r == '&' })
}

// ParseLink reads an invitation. The error does not show it.
func ParseLink(text string) (*Link, error) {
	text = strings.TrimSpace(text)
	if !IsLink(text) {
		return nil, ErrLink
	}
	issuer, err := jid.ParseTyped(text)
	if err != nil || issuer.Local() == "" || !issuer.IsBare() {
		return nil, fmt.Errorf("%w: its address is none", ErrLink)
	}
	l := &Link{Letter: Letter{Issuer: issuer}}
	ours := ""
	for _, m := range members(text) {
		name, value, _ := strings.Cut(m, "=")
		switch id, is := strings.CutPrefix(name, memberDevice); {
		case is:
			d, err := parseDevice(id, strings.ToLower(value))
			if err != nil {
				return nil, fmt.Errorf("%w: a key in it is none", ErrLink)
			}
			l.Names = append(l.Names, d)
		case name == memberOurs && ours == "":
			ours = value
		case name == memberOurs:
			return nil, fmt.Errorf("%w: it is two", ErrLink)
		}
	}
	parts := strings.Split(ours, ".")
	if parts[0] != version {
		return nil, fmt.Errorf("%w: it is of another version than %s", ErrLink, version)
	}
	if len(parts) != 3 || !decode(l.ID[:], parts[1]) || !decode(l.Secret[:], parts[2]) {
		return nil, fmt.Errorf("%w: it is not whole", ErrLink)
	}
	if l.Names.check() != nil {
		return nil, fmt.Errorf("%w: the keys in it are not as they were written", ErrLink)
	}
	return l, nil
}

// Token is the token of XEP-0379 in the link of any client, else "".
func Token(text string) string {
	rest, ok := jid.CutScheme(strings.TrimSpace(text))
	if !ok {
		return ""
	}
	for _, m := range members(rest) {
		if name, value, _ := strings.Cut(m, "="); name == memberToken {
			if plain, err := url.QueryUnescape(value); err == nil {
				return plain
			}
		}
	}
	return ""
}

// nsPreauth qualifies the token in a subscription (XEP-0379, section 3.4).
const nsPreauth = "urn:xmpp:pars:0"

// Preauth is the token as a subscription carries it.
func (l *Letter) Preauth() *xmltree.Element { return Preauth(l.Token()) }

// Preauth is a token as a subscription carries it.
func Preauth(token string) *xmltree.Element {
	return xmltree.New(nsPreauth, "preauth").Set("token", token)
}

// ParseToken finds the id of an invitation in the token of a subscription; nil when it has none
// of ours.
func ParseToken(presence *xmltree.Element) *[IDSize]byte {
	var id [IDSize]byte
	if !decode(id[:], presence.Child(nsPreauth, "preauth").Attr("token")) {
		return nil
	}
	return &id
}
