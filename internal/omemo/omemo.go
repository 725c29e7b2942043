// Package omemo is this device's OMEMO identity: its bundle and its place in
// the device list, the ratchet sessions with other devices, which of their keys
// are trusted, and the wrapping of a secret for them and out of their envelopes.
//
// The protocol is OMEMO 0.3 (XEP-0384 version 0.3.0), the one that live clients
// speak, on go.mau.fi/libsignal. No other package imports that library, and it
// is never called directly even here but through guard.go and ratchet.go, which
// hold the cures for its faults:
//
//   - its prekey records lose a byte of the public key in a round trip: private
//     keys are stored and the records built anew (prekeys.go), and our bundle is
//     checked as a stranger would before it is published (announce.go);
//   - a late message of an archived session state damages the current one, and
//     forged messages change states before they are authenticated: every try
//     runs on a copy (decrypt.go), and what it stores is kept back until all is
//     well (ratchet.go);
//   - it has no locks: every step is written in one immediate database transaction
//     that finds the session as it was read, so neither goroutines nor processes can
//     use a message key twice;
//   - it derives the keys of all messages that were skipped before it knows whether
//     the message is genuine: the state that fits is found by the MAC first, outside
//     of any transaction, and what that costs is charged to the contact (work.go);
//   - it pins an identity key before the message is authenticated: its
//     SaveIdentity does nothing, keys are pinned by us, after the proof;
//   - it panics on input that a peer chooses, pads and cuts keys of the wrong
//     length and takes low-order points: lengths and points are checked before
//     it sees them, and panics are contained;
//   - it logs to standard output, secrets among it: its logger is replaced by
//     one that drops everything.
//
// Nothing here waits for the network while a transaction is open, and nothing
// that a step produced leaves the package before the step is committed.
package omemo

import (
	"context"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// NS is the name space of OMEMO 0.3 (XEP-0384 version 0.3.0).
const NS = "eu.siacs.conversations.axolotl"

// NodeDevices is the PEP node of an account's device list.
const NodeDevices = NS + ".devicelist"

// nodeBundles, with a decimal device id after it, is the PEP node of a bundle.
const nodeBundles = NS + ".bundles:"

// itemCurrent is the id of the one item of each node.
const itemCurrent = "current"

// PEP is what this package needs of an account that is online: its own PEP
// nodes (XEP-0163) and those of others. Calls may come from several goroutines.
// Errors that the other end sent are *stanza.Error.
type PEP interface {
	// Publish puts an item on one of our own nodes. With open the node's access
	// model becomes open, so that contacts without a presence subscription can
	// fetch it.
	Publish(ctx context.Context, node, itemID string, payload *xmltree.Element, open bool) error
	// Items fetches the items of a node, newest first or last: the elements
	// <item id='...'/> with the payload as their child.
	Items(ctx context.Context, owner jid.JID, node string) ([]*xmltree.Element, error)
	// DeleteNode removes one of our own nodes.
	DeleteNode(ctx context.Context, node string) error
}

// Data that is kept or read is bounded, because others choose it.
const (
	// maxDeviceID is the largest device id: clients read them as int32.
	maxDeviceID = 1<<31 - 1
	// maxContactDevices is how many devices of one contact are used. People have
	// a handful; each one beyond costs a bundle fetch and a key in every envelope.
	maxContactDevices = 50
	// maxKnownDevices is how many devices of one contact are remembered with their
	// keys. A server may show others all the time; those that took part in a transfer,
	// or that the user decided about, are never forgotten for them: one that comes back
	// with another key has changed it, and is not new.
	maxKnownDevices = 1000
	// maxLeftDevices is with how many of those that are in the contact's list no more
	// a session is kept. A record may have 2 MiB.
	maxLeftDevices = 50
	// maxOwnDevices is how many other devices an account may have before a new
	// one is refused: a device made on every run of a script that does not keep
	// its state fills the list, and every contact pays for it.
	maxOwnDevices = 10
	// maxBundlePrekeys is how many one-time prekeys of a bundle are looked at.
	// Clients publish 100.
	maxBundlePrekeys = 1000
	// maxHeaderKeys is how many <key/> an envelope may have: as many as two
	// accounts can have devices, several times over.
	maxHeaderKeys = 500
	// maxOwnKeys is how many <key/> with our device id are tried. Two devices
	// that share an id make two; each try costs a few key agreements.
	maxOwnKeys = 4
	// maxKeyBytes bounds one <key/>, decoded: a prekey message that carries 44
	// bytes is about 200.
	maxKeyBytes = 1024
	// maxPayloadBytes bounds <payload/>, decoded: a sealed offer with the
	// longest description fits many times.
	maxPayloadBytes = 64 << 10
	// maxFetches bounds the bundles of one contact that are fetched at once.
	maxFetches = 4
	// listFresh is how long a device list that was fetched or pushed is used
	// without being fetched again, and badFresh how long a device whose bundle
	// could not be used is left alone.
	listFresh = time.Minute
	badFresh  = time.Minute
)
