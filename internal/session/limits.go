package session

import "time"

// Limits on what a peer or a server can make us hold or wait for.
const (
	// maxStanza bounds the bytes of a stanza, both ways. Servers cap what a
	// client may send at 64 to 512 KiB, so honest stanzas are smaller. A longer
	// one is skipped and dropped, the stream goes on.
	maxStanza = 512 << 10

	// hardStanza ends the stream. A stanza that passed a server with a limit of
	// 512 KiB may grow sixfold when that server escapes it anew.
	hardStanza = 4 << 20

	// maxElements bounds the elements of one stanza: a tree needs some 130
	// bytes for an element that takes four on the wire. Rosters of 5,000
	// contacts with groups fit.
	maxElements = 16384

	// hardDepth ends the stream; see xmltree.MaxDepth for what is kept. The
	// XML decoder holds some 60 bytes for every open element.
	hardDepth = 65536

	// maxAttrs bounds the attributes of one element; Jingle candidates have 7.
	maxAttrs = 64

	// inboxStanzas and inboxWeight bound what waits for the dispatcher, by
	// number and by memory. The reader pauses when it is full.
	inboxStanzas = 256
	inboxWeight  = 8 << 20
	elementCost  = 128 // memory of an element beside its text, bytes

	// controlLane and bulkLane bound the stanzas that wait for the writer.
	// Bulk is file data: a short lane keeps its sender in step with the network.
	controlLane = 256
	bulkLane    = 16

	// writeBatch is how much the writer joins into one write: one TLS record.
	writeBatch = 16 << 10

	// maxPendingIQ bounds the iq round trips at one time.
	maxPendingIQ = 1024

	// maxResources bounds the presence cache, maxPerContact one contact's share:
	// anybody can send directed presence.
	maxResources  = 4096
	maxPerContact = 64

	// evictSample is how many strangers' devices are compared when the cache is
	// full: looking at all would make a flood of presence expensive.
	evictSample = 16

	// maxCapsString bounds each string of a caps annotation in the cache.
	maxCapsString = 256

	// maxRequests bounds the subscription requests kept.
	maxRequests = 256

	// maxCapsCache and maxCapsEntry (bytes of strings) bound the cache of
	// verified capabilities.
	maxCapsCache = 512
	maxCapsEntry = 16 << 10

	// maxChallenge bounds a SASL challenge, decoded. SCRAM's are under 200 bytes.
	maxChallenge = 4096

	// maxSASLSteps bounds the server's turns in one exchange; SCRAM has two.
	maxSASLSteps = 4

	// minIterations is the floor of RFC 5802. maxIterations takes a second on a
	// slow machine; a hostile server could ask for an hour.
	minIterations = 4096
	maxIterations = 1_000_000

	// maxTargets bounds the hosts tried from SRV records.
	maxTargets = 16
)

// Times. All may be shortened by the context of the call.
const (
	loginTimeout  = 30 * time.Second       // dial to bind, when the context has no deadline
	targetTimeout = 10 * time.Second       // one server host, up to the encrypted stream
	iqTimeout     = 30 * time.Second       // an iq round trip, when the context has no deadline
	writeTimeout  = 30 * time.Second       // one write; a peer that reads nothing for so long is gone
	idleTimeout   = 60 * time.Second       // silence after which the server is pinged
	pingTimeout   = 20 * time.Second       // silence after the ping that ends the stream
	closeWrite    = 100 * time.Millisecond // last words at Close
	closeWait     = 150 * time.Millisecond // then for the server's; both together 250 ms
)
