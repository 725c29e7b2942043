// Package ibb carries a bytestream inside the XMPP stream itself: in-band
// bytestreams (XEP-0047) negotiated as a Jingle transport (XEP-0261). It is the
// transport of last resort, slow but possible wherever two clients can chat.
//
// Data travels in iqs of at most a negotiated block size, each acknowledged by
// its result. A [Conn] keeps a window of unacknowledged blocks on the way, and
// as a receiver acknowledges only what it has room for, so that a slow reader
// slows the sender down and not the XMPP stream.
//
// The package knows nothing of Jingle sessions or of the XMPP stream: it is
// given the iqs of its name space and a [Port] to send its own.
package ibb

import (
	"context"
	"errors"
	"io"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// The name spaces of this package.
const (
	NS          = "http://jabber.org/protocol/ibb"   // XEP-0047
	NSTransport = "urn:xmpp:jingle:transports:ibb:1" // XEP-0261
	stanzaIQ    = "iq"                               // data in iqs: the default and all that we do
)

// Name is what options and events call the transport.
const Name = "ibb"

// Block sizes in bytes, before base64.
const (
	// DefaultBlockSize is what XEP-0047 section 6 recommends, and what keeps a
	// whole stanza below the 8192 bytes that Prosody reads in one turn: larger
	// blocks are slower there, on ejabberd they are faster.
	DefaultBlockSize = 4096
	// MaxBlockSize is the largest that XEP-0047 section 2.1 allows. aTalk and
	// Smack fail on more than 32767 (the schema of XEP-0261 says xs:short).
	MaxBlockSize = 65535
	// minBlockSize is where we stop to try smaller blocks: below it the stanza
	// around the data is larger than the data.
	minBlockSize = 256
)

// Bounds of one bytestream.
const (
	// maxWindow bounds the unacknowledged blocks. XEP-0047 section 2.2 permits
	// any number and recommends one; on a short way more than 16 bring nothing measurable.
	maxWindow = 16
	// maxGrown bounds them where the window grows with the way: fewer than a jetsend
	// withholds acknowledgements of.
	maxGrown = maxWithheld - maxWindow
	// windowBytes bounds the unacknowledged bytes, for large blocks: they are
	// kept until they are acknowledged, and once more in the stream's queue. grownBytes
	// bounds those of a grown window: with ackBytes they are less than maxBuffered.
	windowBytes = 512 << 10
	grownBytes  = 960 << 10
	// ackBytes is how much may wait for the reader before acknowledgements are
	// withheld: two windows of default blocks.
	ackBytes = 128 << 10
	// maxBuffered bounds what waits for the reader: a whole window of 16 of the
	// largest blocks may arrive after we withheld the first acknowledgement. A
	// peer that sends more ignores the missing ones and is cut off.
	maxBuffered = ackBytes + maxWindow*MaxBlockSize
	// maxWithheld bounds the withheld acknowledgements likewise, for tiny blocks.
	maxWithheld = 256
	// maxSID bounds a stream id, in bytes: it is kept, compared and logged.
	maxSID = 256
)

// What is done about refusals that may pass (XEP-0047 section 2.2).
const (
	// maxRetries bounds how often in a row a block is sent again: with the
	// doubling wait before each that is some 15 seconds.
	maxRetries = 5
	// retryWait is the wait before the first retry; it doubles with each.
	retryWait = 500 * time.Millisecond
	// closeTime bounds how long we try to get a <close/> into the queue: the
	// stream is stuck, and a caller that closes does not want to wait.
	closeTime = 2 * time.Second
)

// Port is the XMPP stream as this package needs it.
//
// Both methods send an iq of type set to a full JID and return when it is
// queued, which takes until there is room in the queue or ctx ends. When they
// return no error, answered is called once, as soon as the answer is there:
// with nil for a result, a *[stanza.Error] for an error, or another error when
// the stream ended first. It may be called before the method returns, is called
// with no lock held and does not block. forget gives up the answer: answered is
// not called any more, unless it is being called already. It may be called at
// any time and more than once. With an error it does not matter whether
// answered was called.
type Port interface {
	// BeginIQ sends payload in the lane of control.
	BeginIQ(ctx context.Context, to jid.JID, payload *xmltree.Element, answered func(error)) (forget func(), err error)
	// BulkIQ sends file data, which waits while there is anything in the lane of
	// control. encode appends the whole stanza, with that id, to dst; it is
	// called at most once and before BulkIQ returns. Stanzas sent so keep their order.
	BulkIQ(ctx context.Context, to jid.JID, encode func(dst []byte, id string) []byte, answered func(error)) (forget func(), err error)
}

// Params say which bytestream with whom.
type Params struct {
	// Peer is the full JID of the other side. Nobody else's data counts.
	Peer jid.JID
	// Transport is what both sides agreed on; see [Transport.Agree] and
	// [Transport.Answer]. A BlockSize of 0 is [DefaultBlockSize].
	Transport Transport
	// Window bounds the unacknowledged blocks of ours; 0 is 16.
	Window int
	// Grows lets it become larger on a long way, for a peer that has room for that: a
	// jetsend.
	Grows bool
	// Modulo65535 is for Libervia, whose block numbers go from 65534 to 0, both
	// those it sends and those it expects.
	Modulo65535 bool
}

// Errors of this package; use errors.Is.
var (
	// ErrMalformed means that a transport element makes no sense.
	ErrMalformed = errors.New("malformed in-band transport")
	// ErrMessages means that the peer wants to send data in message stanzas,
	// which nobody acknowledges (XEP-0047 section 4). We do not.
	ErrMessages = errors.New("in-band bytestream in message stanzas is not supported")
	// ErrDuplicate means that a bytestream of that id with that peer exists.
	ErrDuplicate = errors.New("in-band bytestream of this id exists")

	// ErrBroken is in every error that ends a bytestream before its time, beside
	// the reason. It is an io.ErrClosedPipe: to a caller the path is lost.
	ErrBroken error = lostError("in-band bytestream broken")
	// ErrPeerClosed means that the peer closed before it had taken all our data.
	// It is an io.ErrClosedPipe too.
	ErrPeerClosed error = lostError("in-band bytestream closed by the peer")
	// ErrProtocol means that the peer broke the rules of XEP-0047.
	ErrProtocol = errors.New("in-band bytestream protocol violated")
)

// lostError is the loss of a path.
type lostError string

func (e lostError) Error() string { return string(e) }

// Is makes errors.Is find what a lost pipe is elsewhere.
func (lostError) Is(target error) bool { return target == io.ErrClosedPipe }

// Addr is the address of either end, a net.Addr.
type Addr struct {
	JID jid.JID // zero for our own end
	SID string
}

// Network implements net.Addr.
func (Addr) Network() string { return "ibb" }

// String implements net.Addr.
func (a Addr) String() string { return a.JID.String() + " " + a.SID }
