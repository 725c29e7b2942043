package session

import "time"

// Limits on what a peer or a server can make us hold or wait for.
const (
	// maxStanza bounds the bytes of a stanza that comes. Servers cap what a
	// client may send at 64 to 512 KiB; longer than that is only what they say
	// themselves, as in the account's own roster. A longer one is skipped and dropped,
	// the stream goes on.
	maxStanza = 1 << 20

	// maxRoster bounds the bytes of the server's answer to our request for the roster,
	// maxContacts its contacts, maxGroups how often one of them is in a group: one of
	// 5,000, with their names and groups, has some 700 KiB. No other stanza may be as
	// long; the sender of this one is told by an id that the server alone knows. Of each
	// contact the attributes and the names of its groups are kept, nothing else within.
	maxRoster   = 16 << 20
	maxContacts = 1 << 15
	maxGroups   = 4 * maxContacts

	// maxSent bounds the bytes of one that we send: at 256 KiB Prosody and ejabberd
	// end the stream of a client. A stanza of our own words is far shorter, but an
	// accept repeats what was offered.
	maxSent = 255 << 10

	// maxID bounds the id of an iq that is answered: the answer repeats it, with five
	// bytes for each quote, and would end our stream at a server's own limit. Servers
	// take more of each other than of a client.
	maxID = 1 << 10

	// maxElements bounds the elements of one stanza: a tree needs some 130
	// bytes for an element that takes four on the wire.
	maxElements = 16384

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

	// writeBatch is how much the writer joins into one write before it looks no
	// further: with another in-band block of 4 KiB it is still one TLS record, of
	// which a server gets all or nothing when the connection is cut. See prove.
	writeBatch = 10 << 10

	// maxUnacked and maxUnackedBytes bound what is kept until the server
	// acknowledges it (XEP-0198): some 2,000 in-band blocks of 4 KiB. When it is
	// full nothing more is sent.
	maxUnacked      = 1000
	maxUnackedBytes = 8 << 20

	// askStanzas and askBytes are how much is sent before an acknowledgement is
	// asked for: a request and its answer are 60 bytes.
	askStanzas = 16
	askBytes   = 64 << 10

	// maxRedirects bounds the hosts that a server may send us on to in one
	// login (RFC 6120 section 4.9.3.19).
	maxRedirects = 3

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
	loginTimeout  = 60 * time.Second       // dial to roster, ten round trips, when the context has no deadline
	targetTimeout = 10 * time.Second       // one server host, up to the encrypted stream; of the last one the dial
	earlyTimeout  = 10 * time.Second       // for the answer to what was asked for together, before it is asked for piece by piece
	iqTimeout     = 60 * time.Second       // an iq round trip, when the context has no deadline; in-band data may be in front of it
	writeTimeout  = 30 * time.Second       // one write; a peer that reads nothing for so long is gone
	closeWrite    = time.Second            // last words at Close: more than any scheduler's delay, for what is lost with them leaves a ghost online
	closeWait     = 150 * time.Millisecond // then for the server's
)

// Times of a lasting connection.
const (
	// A dead server is noticed within idleTimeout, pingTimeout and two ticks of
	// the watch: 88 s.
	idleTimeout = 58 * time.Second // silence after which the server is asked for a sign of life
	pingTimeout = 20 * time.Second // silence after that which ends the stream
	watchTick   = 5 * time.Second  // how often the watch looks

	// wakeJump is how much later than due a tick has to come for the machine to
	// have slept: more than any scheduler's delay. wakePatience is then the time
	// for a sign of life: most often the server has given us up.
	wakeJump     = 10 * time.Second
	wakePatience = 10 * time.Second

	// ackAfter is how long after the latest stanza an acknowledgement of it is
	// asked for.
	ackAfter = time.Second
	// ackPatience is how long nothing is sent because a server acknowledges
	// nothing; after that the stream goes on without the chance to resume it.
	ackPatience = 10 * time.Second
	// proveTime is how long a server may be silent after it has granted a
	// resumption, before it has acknowledged anything.
	proveTime = 10 * time.Second
	// resumeTime bounds the time in which a lost stream may be resumed, during
	// which its iq round trips wait; servers offer 5 to 10 minutes.
	resumeTime = 10 * time.Minute

	// backoffFirst and backoffMost are the ceilings of the pauses between the
	// attempts to reconnect. backoffShutdown is the least after a server has said
	// that it shuts down: a restart takes that long. A stream that lasted
	// backoffStable makes the next pause a short one again.
	backoffFirst    = time.Second
	backoffMost     = 60 * time.Second
	backoffShutdown = 2 * time.Second
	backoffStable   = 30 * time.Second
)
