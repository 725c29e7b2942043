package contact

import (
	"strings"
	"testing"

	"jetsend/internal/dialect"
	"jetsend/internal/jid"
)

// TestCannot: the sentence about clients that cannot take a file, whatever they call
// themselves.
func TestCannot(t *testing.T) {
	for want, names := range map[string][]string{
		"Gajim":                               {"Gajim"},
		"Gajim and Psi+":                      {"Gajim", "Psi+", "Gajim"},
		"A, B and C":                          {"A", "B", "C"},
		"A, B, C and 2 others":                {"A", "B", "C", "D", "E"},
		"a client without a name":             {""},
		strings.Repeat("ä", clientName) + "…": {strings.Repeat("ä", 1000)},
	} {
		clients := []*Peer{{Name: "jetsend", Software: dialect.Jetsend}}
		for _, n := range names {
			clients = append(clients, &Peer{Name: n})
		}
		if got := cannot(jid.MustParse("juliet@jet.test"), clients, "files"); got != "juliet@jet.test is online with "+want+", which cannot receive files" {
			t.Error(got)
		}
	}
	got := cannot(jid.MustParse("juliet@jet.test"), []*Peer{{Name: "jetsend", Software: dialect.Jetsend}}, "files")
	if got != "juliet@jet.test is online with jetsend, but not with `jetsend receive`" {
		t.Error(got)
	}
}
