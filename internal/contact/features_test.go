package contact

import (
	"slices"
	"testing"

	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
)

// TestFeatures: a receiver says what it knows, and which transports it allows; nothing
// else says it.
func TestFeatures(t *testing.T) {
	base := []string{"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/caps", "urn:xmpp:ping", "eu.siacs.conversations.axolotl.devicelist+notify"}
	receiver := append(slices.Clone(base),
		"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:file-transfer:5",
		"urn:xmpp:jingle:jet:0", "urn:xmpp:jingle:jet-omemo:0", "urn:xmpp:jingle:apps:encrypted:file-transfer:0", "urn:xmpp:hashes:2",
		"urn:xmpp:hash-function-text-names:sha-256", "jetsend:1")
	const socks, inBand = "urn:xmpp:jingle:transports:s5b:1", "urn:xmpp:jingle:transports:ibb:1"
	for _, tt := range []struct {
		receives   bool
		sets       bool
		transports []string
		want       []string
	}{
		{false, true, []string{s5b.Name, ibb.Name}, base},
		{false, false, []string{ibb.Name}, base},
		{true, false, []string{s5b.Name, ibb.Name}, append(slices.Clone(receiver), socks, inBand)},
		{true, false, []string{ibb.Name, s5b.Name}, append(slices.Clone(receiver), socks, inBand)},
		{true, false, []string{ibb.Name}, append(slices.Clone(receiver), inBand)},
		{true, false, []string{s5b.Name}, append(slices.Clone(receiver), socks)},
		{true, true, []string{s5b.Name, ibb.Name}, append(slices.Clone(receiver), socks, inBand, "jetsend:set:1")},
	} {
		got := Features(tt.receives, tt.sets, tt.transports)
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
