package contact

import (
	"slices"

	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
)

// Features are what we advertise. Only a receiver advertises file transfer, nobody
// shall offer a file to a `send`, and of the transports those that it allows, by their
// names. sets says that a receiver takes sets.
func Features(receiver, sets bool, transports []string) []string {
	f := []string{
		"http://jabber.org/protocol/disco#info",
		"http://jabber.org/protocol/caps",
		"urn:xmpp:ping",
		omemo.NodeDevices + "+notify",
	}
	if !receiver {
		return f
	}
	for _, t := range Transports() {
		if slices.Contains(transports, t.Name) {
			f = append(f, t.Feature)
		}
	}
	if sets {
		f = append(f, profile.NSSet)
	}
	return append(f, jingle.NS, jingle.NSFile, jingle.NSJET, NSJETOMEMO,
		jingle.NSEncryptedFile, "urn:xmpp:hashes:2", "urn:xmpp:hash-function-text-names:sha-256", profile.NS)
}
