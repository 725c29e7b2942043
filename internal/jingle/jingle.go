// Package jingle negotiates peer-to-peer sessions over XMPP: Jingle sessions
// (XEP-0166) with one content each, and the wire elements of file transfer
// (XEP-0234) and of encrypted transports (XEP-0391) that such a content holds.
//
// A [Manager] owns all sessions of one XMPP account. It is given every Jingle
// iq in the order of arrival and answers at once; what the peer says beyond
// that comes out of [Session.Events]. The package decides nothing
// about files, keys or transports: it keeps the state machine of [State], the
// bounds, and the rule that a peer speaks only for its own sessions.
//
// Transports live in sub-packages that know nothing of this one; a transport
// element travels through here as a tree.
package jingle

import (
	"context"
	"crypto/rand"
	"errors"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The name spaces of this package.
const (
	NS              = "urn:xmpp:jingle:1"                              // XEP-0166
	NSErrors        = "urn:xmpp:jingle:errors:1"                       // XEP-0166 section 12
	NSFile          = "urn:xmpp:jingle:apps:file-transfer:5"           // XEP-0234
	NSEncryptedFile = "urn:xmpp:jingle:apps:encrypted:file-transfer:0" // ProtoXEP of 2015
	NSHashes        = "urn:xmpp:hashes:2"                              // XEP-0300
	NSJET           = "urn:xmpp:jingle:jet:0"                          // XEP-0391
	NSJetsend       = "jetsend:1"                                      // our own profile
)

// Action is the action attribute of a jingle element (XEP-0166 section 7.2).
type Action string

// All actions of XEP-0166.
const (
	ContentAccept    Action = "content-accept"
	ContentAdd       Action = "content-add"
	ContentModify    Action = "content-modify"
	ContentReject    Action = "content-reject"
	ContentRemove    Action = "content-remove"
	DescriptionInfo  Action = "description-info"
	SecurityInfo     Action = "security-info"
	SessionAccept    Action = "session-accept"
	SessionInfo      Action = "session-info"
	SessionInitiate  Action = "session-initiate"
	SessionTerminate Action = "session-terminate"
	TransportAccept  Action = "transport-accept"
	TransportInfo    Action = "transport-info"
	TransportReject  Action = "transport-reject"
	TransportReplace Action = "transport-replace"
)

// known reports whether a is an action of XEP-0166.
func (a Action) known() bool {
	switch a {
	case ContentAccept, ContentAdd, ContentModify, ContentReject, ContentRemove, DescriptionInfo, SecurityInfo,
		SessionAccept, SessionInfo, SessionInitiate, SessionTerminate,
		TransportAccept, TransportInfo, TransportReject, TransportReplace:
		return true
	}
	return false
}

// Port sends iqs and waits for their answers. IQ returns the payload of the
// result, nil when it is empty, and a *[stanza.Error] when the answer is an
// error; it must return soon after ctx is cancelled.
type Port interface {
	IQ(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error)
}

// Errors of this package; use errors.Is.
var (
	// ErrEnded means that the session ended before or while the call was made.
	ErrEnded = errors.New("jingle session has ended")
	// ErrOutOfOrder means that the call does not fit the state of the session.
	ErrOutOfOrder = errors.New("jingle action does not fit the state of the session")
	// ErrTransportRejected means that the peer refused a replacement transport.
	ErrTransportRejected = errors.New("peer rejected the transport")
	// ErrSuperseded means that the peer's own replacement overruled ours.
	ErrSuperseded = errors.New("peer replaced the transport at the same time")
	// ErrTooManySessions means that [Config].MaxSessions is reached.
	ErrTooManySessions = errors.New("too many jingle sessions")
	// ErrDuplicateSID means that a session of that sid exists with that peer.
	ErrDuplicateSID = errors.New("jingle session of this id exists")
	// ErrMalformed means that a wire element lacks something or contradicts itself.
	ErrMalformed = errors.New("malformed element")
)

// NewSID returns a fresh session id: at least 128 random bits as an NMTOKEN.
func NewSID() string { return rand.Text() }
