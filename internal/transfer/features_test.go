package transfer

import (
	"slices"
	"testing"
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
		route    RouteOptions
		want     []string
	}{
		{false, RouteOptions{}, base},
		{false, RouteOptions{Transports: []string{IBB}}, base},
		{true, RouteOptions{}, append(slices.Clone(receiver), socks, inBand)},
		{true, RouteOptions{NoDirect: true}, append(slices.Clone(receiver), socks, inBand)},
		{true, RouteOptions{Transports: []string{IBB, S5B}}, append(slices.Clone(receiver), socks, inBand)},
		{true, RouteOptions{Transports: []string{IBB}}, append(slices.Clone(receiver), inBand)},
		{true, RouteOptions{Transports: []string{S5B}}, append(slices.Clone(receiver), socks)},
	} {
		got := features(tt.receives, tt.route)
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
