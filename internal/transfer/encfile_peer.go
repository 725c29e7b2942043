package transfer

import (
	"fmt"
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
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
		{formDraft, file && (info.Has(NS) || jet && !info.Has(nsJETOMEMO))}, // which stores it as it is, and says success
		{formConversations, file && !info.Has(nsJETOMEMO) && (c == conversations || c == conversations1)},
		{formInsecurePlaintext, file},
	} {
		if x.can && (c != libervia || x.form == formInsecurePlaintext) { // Libervia opens no standard envelope
			out = append(out, x.form)
		}
	}
	return out
}

// best is the best form of the peer's that the choice allows.
func (p *peer) best(how Encryption) form {
	for _, f := range p.takes {
		if slices.Contains(how.Forms(), f) {
			return f
		}
	}
	return formNone
}

// hintForms adds to a failure which choice of form would find a client.
func hintForms(f *Failure, opt SendOptions, answered []*peer) *Failure {
	if f.Code != exitcode.Incapable {
		return f
	}
	slices.SortFunc(answered, func(a, b *peer) int { return strings.Compare(a.jid.String(), b.jid.String()) })
	how := opt.Encryption
	plain := slices.DeleteFunc(slices.Clone(answered), func(p *peer) bool { return !slices.Contains(p.takes, formInsecurePlaintext) })
	switch {
	case how == EncryptionInsecurePlaintext, len(plain) == 0:
		f.Reason = cannot(opt.To, answered, "files (Jingle file transfer)")
	case how == EncryptionAuto, how == encryptionOther:
		f.Reason = cannot(opt.To, plain, "encrypted files from here")
	default:
		f.Reason = cannot(opt.To, plain, "files with `--encryption "+string(how)+"`")
	}
	switch {
	case how == EncryptionInsecurePlaintext:
		f.Hints = []string{"ask the contact to run `jetsend receive --insecure-plaintext`, or another client that takes files"}
		return f
	case how != EncryptionAuto && how != encryptionOther:
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
	if how == EncryptionAuto && len(plain) > 0 {
		f.Hints = append(f.Hints, "to send without encryption, for the servers and everybody on the way to read: "+plainCommand(opt))
	}
	return f
}

// namedClients is how many clients a sentence names, clientName how many runes of each
// name: it is the client's claim.
const (
	namedClients = 3
	clientName   = 40
)

// cannot says that a contact is online with these clients, and what they cannot do. A
// jetsend could, if it received.
func cannot(who jid.JID, clients []*peer, what string) string {
	others := slices.DeleteFunc(slices.Clone(clients), func(p *peer) bool { return p.client == jetsend })
	if len(others) == 0 {
		return clean.Text(who.String()) + " is online with jetsend, but not with `jetsend receive`"
	}
	var names []string
	for _, p := range others {
		name := "a client without a name"
		if runes := []rune(p.name); len(runes) > clientName {
			name = string(runes[:clientName]) + "…"
		} else if len(runes) > 0 {
			name = string(runes)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if n := len(names); n > namedClients {
		names = append(names[:namedClients], fmt.Sprintf("%d others", n-namedClients))
	}
	text, last := names[0], len(names)-1
	if last > 0 {
		text = strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return clean.Text(who.String()) + " is online with " + text + ", which cannot receive " + what
}

// plainCommand is the command that sends the same without encryption.
func plainCommand(opt SendOptions) string {
	files := " FILE…"
	if len(opt.Files) == 1 && opt.Files[0].Path != "" {
		files = " " + clean.Argument(clean.Text(opt.Files[0].Path))
	}
	return "`jetsend send --insecure-plaintext" + files + " " + clean.Argument(clean.Text(opt.To.String())) + "`"
}

// startsOver says that a client cannot go on with a part of a file.
func startsOver(who string) string {
	return "the client of " + clean.Text(who) + " cannot go on with a file: it is sent from the beginning"
}
