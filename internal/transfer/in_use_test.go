package transfer

import (
	"slices"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// TestReplacedResource: a resource in whose place another one was taken comes last, and
// the other one counts as the client that a transfer was offered to before.
func TestReplacedResource(t *testing.T) {
	const ghost, now, other = "juliet@jet.test/jetsend.0a0a0a0a", "juliet@jet.test/jetsend.0a0a0a0a.ABCDEFGH", "juliet@jet.test/jetsend.0b0b0b0b"
	var all []session.Resource
	var peers []*peer
	for _, full := range []string{ghost, other, now} {
		all = append(all, session.Resource{JID: jid.MustParse(full)})
	}
	var got []string
	for _, r := range replacedLast(all) {
		got = append(got, r.JID.String())
		peers = append(peers, &peer{jid: r.JID, form: formJetsend})
	}
	if !slices.Equal(got, []string{other, now, ghost}) {
		t.Errorf("%q", got)
	}
	for _, last := range []string{"jetsend.0a0a0a0a", "jetsend.0a0a0a0a.ZYXW"} {
		got = nil
		for _, p := range prefer(peers, last) {
			got = append(got, p.jid.String())
		}
		if !slices.Equal(got, []string{now, ghost, other}) {
			t.Errorf("after %s: %q", last, got)
		}
	}
	if got := prefer(peers, "Conversations.x")[0].jid.String(); got != other {
		t.Errorf("another client is taken for a receiver: %s", got)
	}
}
