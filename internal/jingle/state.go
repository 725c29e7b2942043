package jingle

import "fmt"

// State is where a session stands. XEP-0166 section 4.1 has three states;
// they are divided further where something must be refused.
//
//	       Initiate                              session-initiate received
//	          o                                             o
//	          |                                             |
//	          v         ack                                 v
//	     Initiating ------------------> Pending <-----------+
//	          |                            |
//	          |  session-accept received   |  session-accept received (initiator)
//	          |  before the ack            |  session-accept sent     (responder)
//	          v                            v
//	          +-------------------------> Active ----- BeginStream ---> Streaming
//	                                      ^    ^                            ^
//	          transport-accept or         |    |  transport-accept or       |
//	          transport-reject received   |    |  transport-reject sent     |
//	                                      |    |                            |
//	                  transport-replace   |    |  transport-replace         |
//	                        sent          v    v  received (responder)      |
//	                             Replacing --> Answering --- BeginStream ---+
//	                                 both at once, we are the responder:
//	                                 the initiator's action overrules ours
//
//	every state: session-terminate sent or received, an error in answer to our
//	session-initiate or session-accept, a content that is gone, a queue that
//	overflows: Ended
//
// An action that a state does not draw is refused: received, with out-of-order; as
// a call, with [ErrOutOfOrder]. So nobody can accept twice, and no transport is
// replaced once the stream runs. Which transport comes next is the initiator's to
// say: what a responder proposes is acknowledged, rejected, and changes nothing.
type State uint8

// The states of a session.
const (
	Initiating State = iota // session-initiate sent, not acknowledged
	Pending                 // offered; the responder has not decided
	Active                  // accepted; transports are negotiated
	Replacing               // our transport-replace waits for its answer
	Answering               // the peer's transport-replace waits for our answer
	Streaming               // data flows: no other transport any more
	Ended                   // terminated
)

// String returns the name of the state in lower case.
func (s State) String() string {
	names := [...]string{"initiating", "pending", "active", "replacing", "answering", "streaming", "ended"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// input is what moves a session: an action sent or received, or something of
// our own making.
type input struct {
	kind   inputKind
	action Action // for sent and received
}

type inputKind uint8

const (
	received inputKind = iota // the peer sent the action
	sent                      // we are about to send the action
	acked                     // our session-initiate was acknowledged
	began                     // the stream begins
	aborted                   // the session is void without a terminate of either side
)

// verdict is what the state machine says of an input.
type verdict uint8

const (
	allowed verdict = iota
	outOfOrder
	tieBreak       // both replaced the transport, and ours overrules
	unknownSession // the session has ended
)

// next is the whole state machine: the state after e, and whether e is allowed.
// Anything but allowed leaves the state as it is.
func next(st State, initiator bool, e input) (State, verdict) {
	switch {
	case st == Ended:
		return Ended, unknownSession
	case e.kind == aborted, e.action == SessionTerminate:
		return Ended, allowed
	}
	switch e.kind {
	case received:
		return nextReceived(st, initiator, e.action)
	case sent:
		return nextSent(st, initiator, e.action)
	case acked:
		if st == Initiating {
			return Pending, allowed
		}
		return st, allowed // the accept was faster
	case began:
		if st == Active || st == Answering { // what was proposed is rejected
			return Streaming, allowed
		}
	}
	return st, outOfOrder
}

// nextReceived is next for an action of the peer. XEP-0166 section 7.2.16
// decides who gives way when both replace the transport.
func nextReceived(st State, initiator bool, a Action) (State, verdict) {
	switch a {
	case SessionAccept:
		if initiator && (st == Initiating || st == Pending) {
			return Active, allowed
		}
	case TransportReplace:
		switch {
		case !initiator && (st == Active || st == Replacing):
			return Answering, allowed
		case st == Active:
			return st, allowed // and rejected
		case st == Replacing:
			return st, tieBreak
		}
	case TransportAccept, TransportReject:
		if st == Replacing {
			return Active, allowed
		}
	case SessionInfo, TransportInfo, DescriptionInfo, SecurityInfo, ContentAdd, ContentModify, ContentRemove:
		return st, allowed
	}
	return st, outOfOrder // also content-accept and -reject: we never add one
}

// nextSent is next for an action of ours.
func nextSent(st State, initiator bool, a Action) (State, verdict) {
	switch a {
	case SessionAccept:
		if !initiator && st == Pending {
			return Active, allowed
		}
	case TransportReplace:
		if st == Active {
			return Replacing, allowed
		}
	case TransportAccept, TransportReject:
		if st == Answering {
			return Active, allowed
		}
	case SessionInfo, TransportInfo, ContentReject:
		if st != Initiating { // until the ack the peer may not know the session
			return st, allowed
		}
	}
	return st, outOfOrder
}
