package transfer

import (
	"fmt"
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/omemo"
)

// grouped is a fingerprint in groups of eight, as people compare it.
func grouped(fingerprint string) string {
	const group = 8
	var parts []string
	for chunk := range slices.Chunk([]byte(fingerprint), group) {
		parts = append(parts, string(chunk))
	}
	return strings.Join(parts, " ")
}

// TrustHints name the key that is not used, and the command that would make it
// so, once it was compared.
func TrustHints(t *omemo.TrustError) []string {
	who := clean.Text(t.JID.String())
	verify := strings.TrimSpace("jetsend trust verify " + clean.Argument(who) + " " + t.Fingerprint)
	switch t.Kind {
	case omemo.Changed:
		return []string{
			fmt.Sprintf("device %d shows the key %s, not %s: compare it with %s in another way", t.Device, grouped(t.Fingerprint), grouped(t.Known), who),
			"only if their device really shows it, run `" + verify + "`",
		}
	case omemo.Revoked:
		return []string{"you refused this key; to take that back run `" + verify + "`"}
	}
	key := "its key"
	if t.Fingerprint != "" {
		key += " " + grouped(t.Fingerprint)
	}
	return []string{"compare " + key + " with what the contact's device shows; if it is the same, run `" + verify + "`"}
}
