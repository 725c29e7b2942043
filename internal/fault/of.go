package fault

import (
	"cmp"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"

	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/source"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
)

// Kinds are the rows of the table, in its order. The details that an error itself adds
// are not in them: the code of what a contact's client says depends on what it says.
func Kinds() []Kind {
	kinds := make([]Kind, len(table))
	for i := range table {
		kinds[i] = table[i].Kind
		kinds[i].complete()
	}
	return kinds
}

// Of is what err means; nil is of no kind.
func Of(err error) Kind {
	if err == nil {
		return Kind{}
	}
	k := lookUp(err)
	if ended := found[*Ended](err); ended != nil {
		ended.tell(&k)
	}
	if refused := found[*OfferError](err); refused != nil {
		k.answer = refused.Answer
		k.Unanswered = k.Unanswered || CodeOfAnswer(k.answer) == exitcode.Offline
		k.Unopened = k.Unopened || k.answer.Condition == stanza.NotAcceptable
	}
	if k.Refusal = found[*Refusal](err); k.Refusal != nil && k.ended == nil {
		k.Declined = errors.Is(err, ErrDeclined) && slices.Contains([]string{jingle.Decline, jingle.Busy}, k.Refusal.Reason.Condition)
	}
	k.Cut = cut(err)
	k.receiver = k.where(err)
	if f := found[*Failure](err); f != nil { // it knows better, but for the reason
		k.Code, k.early, k.retry, k.Hints = f.Code, exitcode.OK, byCode, f.Hints
	}
	return k
}

// lookUp is the row of err, completed.
func lookUp(err error) Kind {
	i := slices.IndexFunc(table, func(r row) bool { return r.matches(err) })
	k := table[i].Kind
	if of := table[i].of; of != nil {
		of(err, &k)
	}
	k.complete()
	return k
}

// complete gives the kind the reason that its exit code has, where it has none of its own.
func (k *Kind) complete() {
	if k.Condition == "" {
		usual := usually(k.Code)
		k.Condition, k.Detail = usual.condition, cmp.Or(k.Detail, usual.detail)
	}
}

// where is the rule for the receiver. It depends on the place at which a transfer met the
// error, unless the kind of the error decides it.
func (k *Kind) where(err error) rule {
	switch {
	case k.receiver != byCode:
	case as[*stream.SinkError](err):
		return ifLeft
	case k.ended != nil:
		// Whatever else the reason: it is nobody's proof. But when nothing came and the
		// sender cannot know of the transfer nothing is lost.
		return ifTaken
	case k.Refusal != nil:
		return ifNoted
	}
	return k.receiver
}

// cut reports whether the path or the session broke off, so that the other end may say
// more. It does not when this end has the trouble, or was told to stop.
func cut(err error) bool {
	if as[*source.Error](err) || as[*stream.SinkError](err) || errors.Is(err, ErrInterrupted) || errors.Is(err, ErrTerminated) {
		return false
	}
	return errors.Is(err, ErrEnded) || errors.Is(err, jingle.ErrEnded) || isNetwork(err) || errors.Is(err, io.ErrUnexpectedEOF)
}

// isNetwork reports whether err came from a socket.
func isNetwork(err error) bool {
	return as[net.Error](err) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.ErrShortWrite)
}
