package policy

import (
	"testing"

	"jetsend/internal/jid"
)

// TestLookAlikes: whom --from admits besides the one that it names. Two spellings of
// one address (RFC 7622) are one; what only looks like it is somebody else, or no
// address at all.
func TestLookAlikes(t *testing.T) {
	for _, tt := range []struct {
		about, named, sender string
		admitted             bool
	}{
		{"the same", "romeo@jet.test", "romeo@jet.test/tomb", true},
		{"capitals", "romeo@jet.test", "ROMEO@Jet.Test/tomb", true},
		{"capitals in --from", "ROMEO@JET.TEST", "romeo@jet.test/tomb", true},
		{"full width", "romeo@jet.test", "ｒｏｍｅｏ@ｊｅｔ.test/tomb", true},
		{"another full stop", "romeo@jet.test", "romeo@jet。test/tomb", true},
		{"a trailing dot", "romeo@jet.test", "romeo@jet.test./tomb", true},
		{"a trailing dot in --from", "romeo@jet.test.", "romeo@jet.test/tomb", true},
		{"two trailing dots", "romeo@jet.test", "romeo@jet.test../tomb", false},
		{"a Cyrillic o", "romeo@jet.test", "r\u043emeo@jet.test/tomb", false},
		{"a Greek o in --from", "rome\u03bf@jet.test", "romeo@jet.test/tomb", false},
		{"a Cyrillic e in the domain", "romeo@jet.test", "romeo@j\u0435t.test/tomb", false},
		{"the same in ASCII", "romeo@jet.test", "romeo@xn--jt-nlc.test/tomb", false},
		{"a domain in front", "romeo@jet.test", "romeo@jet.test.evil.test/tomb", false},
		{"a domain behind", "romeo@jet.test", "romeo@evil.jet.test/tomb", false},
		{"an accent that combines", "romeo@jet.test", "romeo\u0301@jet.test/tomb", false},
		{"a space of no width", "romeo@jet.test", "rom\u200beo@jet.test/tomb", false},
		{"a soft hyphen", "romeo@jet.test", "rom\u00adeo@jet.test/tomb", false},
		{"written backwards", "romeo@jet.test", "\u202eoemor@jet.test/tomb", false},
		{"a ligature", "fiddler@jet.test", "\ufb01ddler@jet.test/tomb", false},
		{"a sharp s", "strasse@jet.test", "stra\u00dfe@jet.test/tomb", false},
		{"a Turkish i", "tybalti@jet.test", "tybalt\u0131@jet.test/tomb", false},
		{"an escaped at", "romeo@jet.test", `romeo\40jet.test@evil.test/tomb`, false},
		{"two ats", "romeo@jet.test", "romeo@jet.test@evil.test/tomb", false},
		{"the address as a resource", "romeo@jet.test", "evil.test/romeo@jet.test", false},
		{"the domain alone", "romeo@jet.test", "jet.test/romeo", false},
		{"everybody of a domain", "jet.test", "romeo@jet.test/tomb", false},
		{"the resource", "romeo@jet.test/tomb", "romeo@jet.test/tomb", true},
		{"the resource, composed", "romeo@jet.test/caf\u00e9", "romeo@jet.test/cafe\u0301", true},
		{"another resource", "romeo@jet.test/tomb", "romeo@jet.test/balcony", false},
		{"a resource in capitals", "romeo@jet.test/tomb", "romeo@jet.test/Tomb", false},
		{"a resource with a space", "romeo@jet.test/tomb", "romeo@jet.test/tomb ", false},
		{"a resource with a slash", "romeo@jet.test/tomb", "romeo@jet.test/tomb/", false},
		{"a longer resource", "romeo@jet.test/tomb", "romeo@jet.test/tomb2", false},
		{"a Cyrillic o in the resource", "romeo@jet.test/tomb", "romeo@jet.test/t\u043emb", false},
		{"full width in the resource", "romeo@jet.test/tomb", "romeo@jet.test/ｔomb", false},
		{"a control character", "romeo@jet.test/tomb", "romeo@jet.test/tomb\x00", false},
	} {
		named, err := jid.ParseTyped(tt.named) // as --from reads it
		if err != nil {
			t.Errorf("%s: --from %q: %v", tt.about, tt.named, err)
			continue
		}
		rules := Rules{Choice: Choice{Accept: From, From: []jid.JID{named}}}
		sender, err := jid.Parse(tt.sender) // as a stanza's from is read
		if got := err == nil && rules.Admits(sender); got != tt.admitted {
			t.Errorf("%s: %q under --from %q: %v, want %v (%v)", tt.about, tt.sender, tt.named, got, tt.admitted, err)
		}
	}
}
