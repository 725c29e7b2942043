package transfer

import (
	"slices"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jingle"
	"jetsend/internal/session"
)

// formsOf are the forms that a client can take, by what it says of itself. A
// client that does not say so stores what it cannot open as the file, and calls
// that success: nothing is offered on a guess.
func formsOf(c client, info *session.DiscoInfo) (out []form) {
	if !info.Has(jingle.NS) {
		return nil
	}
	file, jet := info.Has(jingle.NSFile), info.Has(jingle.NSJET)
	for _, x := range []struct {
		form form
		can  bool
	}{
		{formJetsend, file && info.Has(NS)},
		{formJET, file && (info.Has(NS) || jet && info.Has(nsJETOMEMO))},
		{formEncryptedFile, info.Has(jingle.NSEncryptedFile)},
		{formDraft, file && (info.Has(NS) || jet)},
		{formConversations, file && !info.Has(nsJETOMEMO) && (c == conversations || c == conversations1)},
		{formInsecurePlaintext, file},
	} {
		if x.can && (c != libervia || x.form == formInsecurePlaintext) { // Libervia opens no standard envelope
			out = append(out, x.form)
		}
	}
	return out
}

// forms are those that a choice allows.
func (e Encryption) forms() []form {
	switch e {
	case EncryptionJET:
		return []form{formJET}
	case EncryptionDraft:
		return []form{formDraft}
	case EncryptionFile:
		return []form{formEncryptedFile, formConversations}
	case EncryptionInsecurePlaintext:
		return []form{formInsecurePlaintext}
	case encryptionOther:
		return []form{formJET, formEncryptedFile, formConversations}
	}
	return []form{formJetsend, formJET, formEncryptedFile}
}

// best is the best form of the peer's that the choice allows.
func (p *peer) best(how Encryption) form {
	for _, f := range p.takes {
		if slices.Contains(how.forms(), f) {
			return f
		}
	}
	return formNone
}

// hintForms adds to a failure which choice of form would find a client.
func hintForms(f *Failure, how Encryption, answered []*peer) *Failure {
	if f.Code != exitcode.Incapable {
		return f
	}
	if how == EncryptionInsecurePlaintext {
		return noPlainClient(f, answered)
	}
	if how != EncryptionAuto && how != encryptionOther {
		f.Hints = append(f.Hints, "leave `--encryption "+string(how)+"` out to take what the contact's client has")
		return f
	}
	for _, h := range []struct {
		form form
		text string
	}{
		{formConversations, " runs Conversations before 2.5.8: `--encryption encrypted-file`"},
		{formDraft, " knows the draft of 2017: `--encryption jet-draft`"},
	} {
		for _, p := range answered {
			if slices.Contains(p.takes, h.form) {
				f.Hints = append(f.Hints, clean.Text(p.jid.String())+h.text)
				break
			}
		}
	}
	return f
}

// startsOver says that a client cannot go on with a part of a file.
func startsOver(who string) string {
	return "the client of " + clean.Text(who) + " cannot go on with a file: it is sent from the beginning"
}
