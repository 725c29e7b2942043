// Package fault says what an error means to a transfer: the exit code, the reason that
// the other end is told, whether the same run tries again, whether the transfer can be
// resumed, whether the bytes that came are spoilt, and what helps. One table has all of
// it (table.go), [Of] is the only place that looks at errors for it, and the code that
// moves a file asks the [Kind] that Of returns.
//
// The words that two ends say to each other about it are Jingle reasons (XEP-0166,
// section 7.4) with the details of docs/protocol.md; see [Ended].
package fault

import (
	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/stanza"
)

// Kind is what an error means: a row of the table, with what is found in the error
// itself.
type Kind struct {
	// Name tells the rows apart; it is for tests and logs.
	Name string
	// Code is the exit code, once a byte of the file has been handed to a transport;
	// see [Kind.CodeAt].
	Code exitcode.Code
	// Condition and Detail are the reason that the other end is told, the detail empty
	// when there is none; see [Kind.Reason].
	Condition, Detail string
	// Spoils says which bytes of a receiver are known to be wrong.
	Spoils Extent
	// Paused says who has stopped the transfer by hand. It goes on when they say so.
	Paused journal.Pause
	// Quiet: it is no trouble of the transfer, which goes on in another session. No
	// event tells of it.
	Quiet bool
	// Uncounted: the attempt is none of those that a run gives up after. It met the
	// contact's own session, which may hang for longer, until the contact notices.
	Uncounted bool
	// Unanswered: the client did not answer the offer at all, so that another one of the
	// contact may be tried.
	Unanswered bool
	// Unopened: the client ended an offer because it could not open the envelope, as far
	// as that can be told. One that has lost its sessions says so with an iq error, or
	// ends the session for the sake of security. So does one that comes too late for a
	// one-time prekey. It may have other reasons.
	Unopened bool
	// Cut: the path or the session broke off, and the other end's own word about that may
	// be on its way: a peer that leaves closes its socket as well, which is often faster.
	Cut bool
	// Refusal is how this end refused the offer, nil when it did not: then it says the
	// reason of that, and not the one here.
	Refusal *Refusal
	// Declined: the receiver, who may be at this end, did not want what was offered. That
	// is an end like others, and nothing is wrong.
	Declined bool
	// Over: the other end has proven that no later session can bring the file.
	Over bool
	// Hints are what helps: exact commands, or the one thing to change.
	Hints []string

	early exitcode.Code // before the first byte, where that is another one
	// The rules, where the exit code does not say it.
	retry, sender, receiver rule

	ended  *Ended
	answer *stanza.Error
}

// Extent is how much of what a receiver has is known to be wrong. The word of a peer or a
// server about it is no such knowledge.
type Extent int

// The extents.
const (
	// Nothing is known to be wrong.
	Nothing Extent = iota
	// Session is what came in this session. The sender compares the bytes that were there
	// before it each time, so that a bit flipped on the path costs no more than the session.
	Session
	// Whole is everything: the whole is not the sender's file.
	Whole
)

// Standing is how a transfer stood when it met an error, as far as that decides what
// becomes of it.
type Standing struct {
	// Receiving: this end is the one that receives.
	Receiving bool
	// Resumes: a transfer in the form of the offer can be taken up again by this end.
	Resumes bool
	// Accepted: the receiver has said yes in this run, or, at the receiver, may be known
	// to have. Of a request for the rest: another one was made in this run.
	Accepted bool
	// Phase is that of the row.
	Phase journal.Phase
	// Started: a byte of the file has been handed to a transport in this run.
	Started bool
	// Durable is how many bytes of the file are recorded as being at the receiver.
	Durable int64
	// Remains reports whether the partial file is in its directory, and that is there;
	// nil: it is not known.
	Remains func() bool
}

// CodeAt is the exit code; started reports whether a byte of the file has been handed to a
// transport.
func (k Kind) CodeAt(started bool) exitcode.Code {
	if !started && k.early != exitcode.OK {
		return k.early
	}
	return k.Code
}

// Retryable reports whether an attempt that failed is worth another one in the same run.
func (k Kind) Retryable(s Standing) bool {
	if k.retry != byCode {
		return k.retry.holds(s)
	}
	return usually(k.CodeAt(s.Started)).retry.holds(s)
}

// Resumable reports whether the transfer may be taken up again, in this run or a later
// one.
func (k Kind) Resumable(s Standing) bool {
	rule := k.sender
	if s.Receiving {
		rule = k.receiver
	}
	switch {
	case !s.Resumes, rule == never:
		return false
	case s.Receiving && s.Phase.Verified():
		return true // its release was cut
	case k.Over:
		return false
	case rule == byCode && s.Receiving:
		return true
	case rule == byCode:
		rule = usually(k.CodeAt(s.Started)).sender
	}
	return rule.holds(s)
}

// Waits reports whether a run that receives waits for another session of the transfer,
// for as long as it does that. resumable is what has become of the row.
func (k Kind) Waits(resumable bool) bool {
	return k.Quiet || resumable && k.Code == exitcode.Interrupted
}

// Sound is how many bytes are left of those that a receiver has. before were there when
// the session began, all are there now.
func (k Kind) Sound(before, all int64) int64 {
	switch k.Spoils {
	case Whole:
		return 0
	case Session:
		return before
	}
	return all
}

// Reason is what the other end is told when we end the session for that.
func (k Kind) Reason() jingle.Reason { return Reason(k.Condition, k.Detail) }

// Sealed reports whether the detail changes what the other end keeps, and has to come
// with a sealed word to count.
func (k Kind) Sealed() bool { return changes(k.Detail) }

// Said reports whether the other end ended the session with the condition.
func (k Kind) Said(condition string) bool {
	return k.ended != nil && k.ended.Reason.Condition == condition
}

// Proven reports whether the other end has proven to have said why it ended the session.
func (k Kind) Proven() bool { return k.ended != nil && k.ended.Proven }

// Answered reports whether the other end answered the offer with the stanza error.
func (k Kind) Answered(condition string) bool {
	return k.answer != nil && k.answer.Condition == condition
}

// rule is what it takes for another attempt, or for a transfer to be resumed.
type rule int

const (
	byCode  rule = iota // as with every error of that exit code; see usually
	never               // no
	always              // yes
	ifBegun             // once a byte went out, or another session was tried before: the path broke, rather than there being none
	ifKnown             // once the other end knows the transfer
	ifOffer             // of an offer, as ifKnown: that of a request is ErrInUse
	ifAsked             // of a request, once another was made in this run: somebody came to the transfer since
	ifNoted             // once the row says that the other end may know the transfer
	ifSome              // when some of it has come, or as ifNoted
	ifLeft              // when some of it has come, and is still there
	ifTaken             // when some of it has come, or the other end knows the transfer from this run
)

func (r rule) holds(s Standing) bool {
	switch r {
	case always:
		return true
	case ifBegun:
		return s.Started || s.Phase.Known()
	case ifKnown:
		return s.Accepted || s.Phase.Known()
	case ifOffer:
		return !s.Receiving && ifKnown.holds(s)
	case ifAsked:
		return s.Receiving && s.Accepted
	case ifNoted:
		return s.Phase.Known()
	case ifSome:
		return s.Durable > 0 || s.Phase.Known()
	case ifLeft:
		return s.Durable > 0 && s.Remains != nil && s.Remains()
	case ifTaken:
		return s.Durable > 0 || s.Accepted
	}
	return false
}
