package transfer

import (
	"errors"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
)

// The times that hints suggest at least.
const (
	longWait   = 5 * time.Minute
	longAnswer = 30 * time.Minute
)

// hints are those that the journey of the file knows beside the error that ended it.
func (o *offering) hints(err error) []string {
	var ended *fault.Ended
	var refused *fault.OfferError
	security := errors.As(err, &ended) && ended.Reason.Condition == jingle.SecurityError
	plain := o.form == dialect.FormPlaintext
	switch {
	case errors.Is(err, fault.ErrNoAnswer) && o.resumed: // its flags have none for that
		return []string{"ask the contact to answer"}
	case errors.Is(err, fault.ErrNoAnswer):
		return []string{"ask the contact to answer, or " + fault.Longer("answer-timeout", longAnswer, o.opt.AnswerTimeout)}
	case errors.As(err, &refused) && refused.Answer.Condition == stanza.ResourceConstraint:
		return []string{"the contact's client has no room for one more transfer: try again later, or name all files to one `jetsend send`"}
	case errors.As(err, &refused) && fault.CodeOfAnswer(refused.Answer) == exitcode.Offline:
		return []string{"ask the contact to run `jetsend receive`, and whether it takes files from you"}
	case security && plain && !o.marked:
		return []string{
			"a jetsend takes unencrypted files only with `jetsend receive --insecure-plaintext`",
			"leave --insecure-plaintext out to send it encrypted",
		}
	case o.marked && !plain && !o.profile() && fault.Of(err).Said(jingle.Success):
		return []string{"the contact's client could not open the file, and may have kept what it cannot read: send it again, which begins a new OMEMO session"}
	case o.marked || plain:
	case security, fault.Of(err).Answered(stanza.NotAcceptable):
		return o.keyRefused()
	}
	return nil
}

// keyRefused are the hints for a contact whose client ended an encrypted offer for
// the sake of security. It does not say why; that it does not take our key is what
// somebody can do something about.
func (o *offering) keyRefused() []string {
	key, accept := o.e.omemo.Fingerprint(), "trust it there"
	if o.profile() {
		accept = "run `jetsend trust verify " + clean.Argument(clean.Text(o.e.sess.JID().Bare().String())) + " " + key + "`"
	}
	return []string{
		"to begin new OMEMO sessions, as for a device that has lost its own, run `jetsend trust reset " + clean.Argument(clean.Text(o.opt.To.Bare().String())) + "` and try again",
		"the contact's device may not accept the key of this one: " + fault.Grouped(key),
		"on the contact's device, compare it, and if it is the same " + accept,
	}
}
