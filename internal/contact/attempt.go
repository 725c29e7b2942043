package contact

import (
	"errors"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// longAnswer is the least time for an answer that hints suggest.
const longAnswer = 30 * time.Minute

// Attempt is an offer, with what its journey has come to.
type Attempt struct {
	To            jid.JID
	Form          dialect.Form
	Started       bool // a byte has been handed to a transport
	Resumed       bool // by `resume`, which has not all flags of `send`
	AnswerTimeout time.Duration
	Fingerprint   string // of our key
}

// Hints are those for an attempt that has failed, beside what the error says that ended it.
func (f *Finder) Hints(a Attempt, err error) []string {
	var ended *fault.Ended
	var refused *fault.OfferError
	security := errors.As(err, &ended) && ended.Reason.Condition == jingle.SecurityError
	plain := a.Form == dialect.FormPlaintext
	switch {
	case errors.Is(err, fault.ErrNoAnswer) && a.Resumed: // its flags have none for that
		return []string{"ask the contact to answer"}
	case errors.Is(err, fault.ErrNoAnswer):
		return []string{"ask the contact to answer, or " + fault.Longer("answer-timeout", longAnswer, a.AnswerTimeout)}
	case errors.As(err, &refused) && refused.Answer.Condition == stanza.ResourceConstraint:
		return []string{"the contact's client has no room for one more transfer: try again later, or name all files to one `jetsend send`"}
	case errors.As(err, &refused) && fault.CodeOfAnswer(refused.Answer) == exitcode.Offline:
		return []string{"ask the contact to run `jetsend receive`, and whether it takes files from you"}
	case security && plain && !a.Started:
		return []string{
			"a jetsend takes unencrypted files only with `jetsend receive --insecure-plaintext`",
			"leave --insecure-plaintext out to send it encrypted",
		}
	case a.Started && !plain && a.Form != dialect.FormJetsend && fault.Of(err).Said(jingle.Success):
		return []string{"the contact's client could not open the file, and may have kept what it cannot read: send it again, which begins a new OMEMO session"}
	case a.Started || plain:
	case security, fault.Of(err).Answered(stanza.NotAcceptable):
		return f.keyRefused(a)
	}
	return nil
}

// keyRefused are the hints for a contact whose client ended an encrypted offer for
// the sake of security. It does not say why; that it does not take our key is what
// somebody can do something about.
func (f *Finder) keyRefused(a Attempt) []string {
	accept := "trust it there"
	if a.Form == dialect.FormJetsend {
		accept = "run `jetsend trust verify " + clean.Argument(clean.Text(f.Account.JID().Bare().String())) + " " + a.Fingerprint + "`"
	}
	return []string{
		"to begin new OMEMO sessions, as for a device that has lost its own, run `jetsend trust reset " + clean.Argument(clean.Text(a.To.Bare().String())) + "` and try again",
		"the contact's device may not accept the key of this one: " + fault.Grouped(a.Fingerprint),
		"on the contact's device, compare it, and if it is the same " + accept,
	}
}
