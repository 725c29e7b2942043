package transfer

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// The times that hints suggest at least.
const (
	longWait   = 5 * time.Minute
	longAnswer = 30 * time.Minute
)

// isDamaged reports whether an error came of a damaged state file.
func isDamaged(err error) bool {
	_, is := state.Damaged(err)
	return is
}

// DamagedHints are what helps with a state file that is damaged; no path, when it is
// not known which one it is.
func DamagedHints(path string) []string {
	hints := []string{"restore the state directory from a backup"}
	if path != "" { // with what belongs to it: SQLite would play an old log back into a new file
		away := clean.Argument(filepath.Join(filepath.Dir(path), "damaged"))
		hints = append(hints, "or move it away with `mkdir -p "+away+" && mv "+clean.Argument(path)+"* "+away+
			"`: the next run makes a new device, whose key your contacts have to verify, and what was interrupted is lost")
	}
	return hints
}

// longer is the hint to wait longer than a time that was not enough.
func longer(flag string, least, had time.Duration) string {
	return fmt.Sprintf("wait longer with `--%s %dm`", flag, int(max(least, 2*had).Minutes()))
}

// hints are those that the journey of the file knows beside the error that ended it.
func (o *outgoing) hints(err error) []string {
	var ended *endedByPeer
	var refused *offerRefused
	security := errors.As(err, &ended) && ended.reason.Condition == jingle.SecurityError
	plain := o.form == formInsecurePlaintext
	switch {
	case errors.Is(err, errNoAnswer) && o.resumed: // its flags have none for that
		return []string{"ask the contact to answer"}
	case errors.Is(err, errNoAnswer):
		return []string{"ask the contact to answer, or " + longer("answer-timeout", longAnswer, o.opt.AnswerTimeout)}
	case errors.As(err, &refused) && refused.answer.Condition == stanza.ResourceConstraint:
		return []string{"the contact's client has no room for one more transfer: try again later, or name all files to one `jetsend send`"}
	case errors.As(err, &refused) && codeOfIQ(refused.answer) == exitcode.Offline:
		return []string{"ask the contact to run `jetsend receive`, and whether it takes files from you"}
	case security && plain && !o.marked:
		return []string{
			"a jetsend takes unencrypted files only with `jetsend receive --insecure-plaintext`",
			"leave --insecure-plaintext out to send it encrypted",
		}
	case o.marked && !plain && !o.profile() && saysSuccess(err):
		return []string{"the contact's client could not open the file, and may have kept what it cannot read: send it again, which begins a new OMEMO session"}
	case o.marked || plain:
	case security, notAcceptable(err):
		return o.keyRefused()
	}
	return nil
}

// keyRefused are the hints for a contact whose client ended an encrypted offer for
// the sake of security. It does not say why; that it does not take our key is what
// somebody can do something about.
func (o *outgoing) keyRefused() []string {
	key, accept := o.e.omemo.Fingerprint(), "trust it there"
	if o.profile() {
		accept = "run `jetsend trust verify " + clean.Argument(clean.Text(o.e.sess.JID().Bare().String())) + " " + key + "`"
	}
	return []string{
		"to begin new OMEMO sessions, as for a device that has lost its own, run `jetsend trust reset " + clean.Argument(clean.Text(o.opt.To.Bare().String())) + "` and try again",
		"the contact's device may not accept the key of this one: " + grouped(key),
		"on the contact's device, compare it, and if it is the same " + accept,
	}
}

// grouped is a fingerprint in groups of eight, as people compare it.
func grouped(fingerprint string) string {
	const group = 8
	var parts []string
	for chunk := range slices.Chunk([]byte(fingerprint), group) {
		parts = append(parts, string(chunk))
	}
	return strings.Join(parts, " ")
}

// folderHints say how the folder of a contact becomes one that is used.
func folderHints(f *inbox.FolderError) []string {
	path := clean.Argument(clean.Text(f.Path))
	if f.Writable {
		return []string{"run `chmod go-w " + path + "`, or leave --per-sender out"}
	}
	return []string{"move it away: `mv " + path + " " + clean.Argument(clean.Text(f.Path)+".old") + "`, or name another directory with --dir"}
}

// TrustHints name the key that is not used, and the command that would make it
// so, once it was compared.
func TrustHints(t *omemo.TrustError) []string {
	who := clean.Text(t.JID.String())
	verify := strings.TrimSpace("jetsend trust verify " + clean.Argument(who) + " " + t.Fingerprint)
	switch t.Kind {
	case omemo.Changed:
		return []string{
			fmt.Sprintf("device %d shows the key %s, not %s: compare it with %s in another way", t.Device, grouped(t.Fingerprint), grouped(t.Known), who),
			"only if their device really shows it, run `" + verify + "`",
		}
	case omemo.Revoked:
		return []string{"you refused this key; to take that back run `" + verify + "`"}
	}
	key := "its key"
	if t.Fingerprint != "" {
		key += " " + grouped(t.Fingerprint)
	}
	return []string{"compare " + key + " with what the contact's device shows; if it is the same, run `" + verify + "`"}
}
