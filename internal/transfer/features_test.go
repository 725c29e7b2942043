package transfer

import (
	"slices"
	"testing"

	"jetsend/internal/route"
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
		receives bool
		route    route.Options
		want     []string
	}{
		{false, route.Options{}, base},
		{false, route.Options{Transports: []string{route.IBB}}, base},
		{true, route.Options{}, append(slices.Clone(receiver), socks, inBand)},
		{true, route.Options{NoDirect: true}, append(slices.Clone(receiver), socks, inBand)},
		{true, route.Options{Transports: []string{route.IBB, route.S5B}}, append(slices.Clone(receiver), socks, inBand)},
		{true, route.Options{Transports: []string{route.IBB}}, append(slices.Clone(receiver), inBand)},
		{true, route.Options{Transports: []string{route.S5B}}, append(slices.Clone(receiver), socks)},
	} {
		got := features(tt.receives, tt.route)
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
