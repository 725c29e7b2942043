package main

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

// The fingerprint of an OMEMO identity key: 32 bytes in hex. Some clients show
// the type byte of the key before it.
const (
	fingerprintDigits = 64
	fingerprintType   = "05"
)

// uriScheme and uriDevice make the address by which clients show an account
// with the keys of its devices, as text or in a QR code (XEP-0384, section 8):
// xmpp:juliet@example.org?omemo-sid-123=HEX;omemo-sid-456=HEX
const (
	uriScheme = jid.Scheme
	uriDevice = "omemo-sid-"
)

// claim is what somebody says a device's key is.
type claim struct {
	of          jid.JID // bare
	id          uint32  // 0: any device
	fingerprint string  // 64 lower-case hex digits
}

// parseFingerprint reads a fingerprint as people type or paste it: spaces,
// colons, dashes and case do not matter.
func parseFingerprint(text string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n:-", r) {
			return -1
		}
		return r
	}, strings.ToLower(text))
	if len(digits) == fingerprintDigits+len(fingerprintType) {
		digits = strings.TrimPrefix(digits, fingerprintType)
	}
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != fingerprintDigits {
		return "", usagef("%q is not a fingerprint", clean.Text(text)).hint("it is %d hex digits, in groups or in one piece", fingerprintDigits)
	}
	return digits, nil
}

// hasKeys reports whether an argument is meant as an address with keys.
func hasKeys(text string) bool {
	rest, ok := jid.CutScheme(text)
	return ok && strings.Contains(rest, uriDevice)
}

// parseURI reads an address with the keys of devices.
func parseURI(text string) ([]claim, error) {
	wrong := usagef("%q is not an address with keys", clean.Text(text)).hint("it looks like xmpp:name@domain?omemo-sid-123=FINGERPRINT")
	if !hasKeys(text) {
		return nil, wrong
	}
	address, query, _ := strings.Cut(text, "?")
	of, err := jid.ParseTyped(address)
	if err != nil || of.Local() == "" || !of.IsBare() {
		return nil, wrong
	}
	var claims []claim
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == ';' || r == '&' }) {
		device, ok := strings.CutPrefix(part, uriDevice)
		if !ok {
			continue // an action such as "message", which is not ours
		}
		number, print, _ := strings.Cut(device, "=")
		id, err := strconv.ParseUint(number, 10, 31)
		if err != nil || id == 0 {
			return nil, wrong
		}
		if print, err = parseFingerprint(print); err != nil {
			return nil, err
		}
		claims = append(claims, claim{of, uint32(id), print})
	}
	if len(claims) == 0 {
		return nil, wrong
	}
	return claims, nil
}

// identityURI writes the address with one key.
func identityURI(of jid.JID, id uint32, fingerprint string) string {
	return fmt.Sprintf("%s%s?%s%d=%s", uriScheme, url.PathEscape(of.Bare().String()), uriDevice, id, fingerprint)
}

// groups writes a fingerprint in groups of eight, as people compare it.
func groups(fingerprint string) string {
	var b strings.Builder
	for i, r := range clean.Text(fingerprint) {
		if i > 0 && i%8 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// keyLines writes a fingerprint in lines of its own, four groups each, to be compared with
// that on another screen: two spaces before each, and no line break after the last.
func keyLines(fingerprint string) string {
	var lines []string
	all := strings.Fields(groups(fingerprint))
	for group := range slices.Chunk(all, groupsInLine) {
		lines = append(lines, "  "+strings.Join(group, " "))
	}
	return strings.Join(lines, "\n")
}

// groupsInLine fit into the narrowest terminal.
const groupsInLine = 4
