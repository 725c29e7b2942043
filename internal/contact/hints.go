package contact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
)

// longWait is the least wait that hints suggest.
const longWait = 5 * time.Minute

// RunReceive is the hint for a contact without a client that takes files.
func (f *Finder) RunReceive(to jid.JID) string {
	if f.Own(to) {
		return "on your other device run `jetsend receive`"
	}
	return "ask the contact to run `jetsend receive`"
}

// NoResource says why there is nobody to offer a file to: of the resources
// that are online, some may have answered what they can do.
func (f *Finder) NoResource(ctx context.Context, opt Options, online, answered int) *fault.Failure {
	who := clean.Text(opt.To.String())
	switch {
	case online == 0 && f.Own(opt.To):
		return &fault.Failure{
			Code: exitcode.Offline, Reason: "no other device of " + who + " is online",
			Hints: []string{f.RunReceive(opt.To), fault.Longer("wait", longWait, opt.Wait)},
		}
	case online == 0:
		return &fault.Failure{Code: exitcode.Offline, Reason: who + " is not online", Hints: f.unseen(ctx, opt)}
	case answered == 0:
		return &fault.Failure{
			Code: exitcode.Offline, Reason: who + " is online but does not answer",
			Hints: []string{fault.Longer("wait", longWait, opt.Wait)},
		}
	}
	return &fault.Failure{
		Code: exitcode.Incapable, Reason: fmt.Sprintf("no client of %s can receive encrypted files from here (%d online)", who, online),
		Hints: []string{f.RunReceive(opt.To)},
	}
}

// unseen are the hints for a contact of whom nothing is seen online, which may have
// another reason than that nothing is.
func (f *Finder) unseen(ctx context.Context, opt Options) []string {
	who := clean.Text(opt.To.Bare().String())
	s, err := f.Subscription(ctx, opt.To.Bare())
	switch {
	case err == nil && s.Sees():
		return []string{f.RunReceive(opt.To), fault.Longer("wait", longWait, opt.Wait)}
	case err == nil && s.Asked:
		return []string{who + " has not answered that we ask to see it online: " + f.AskToAccept()}
	}
	return []string{"without a presence subscription nobody is seen online: run `jetsend contacts add " + clean.Argument(who) + "`"}
}

// AskToAccept is the hint for a contact who has not answered our request.
func (f *Finder) AskToAccept() string {
	return "ask the contact to accept it, in any client or with `jetsend contacts accept " + clean.Argument(clean.Text(f.Account.JID().Bare().String())) + "`"
}

// hintForms adds to a failure which choice of form would find a client.
func hintForms(fail *fault.Failure, opt Options, answered []*Peer) *fault.Failure {
	if fail.Code != exitcode.Incapable {
		return fail
	}
	slices.SortFunc(answered, func(a, b *Peer) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	how := opt.Encryption
	plain := slices.DeleteFunc(slices.Clone(answered), func(p *Peer) bool { return !slices.Contains(p.Takes, dialect.FormPlaintext) })
	switch {
	case how == dialect.ChoosePlaintext, len(plain) == 0:
		fail.Reason = cannot(opt.To, answered, "files (Jingle file transfer)")
	case how == dialect.ChooseBest, how == dialect.ChooseOther:
		fail.Reason = cannot(opt.To, plain, "encrypted files from here")
	default:
		fail.Reason = cannot(opt.To, plain, "files with `--encryption "+string(how)+"`")
	}
	switch {
	case how == dialect.ChoosePlaintext:
		fail.Hints = []string{"ask the contact to run `jetsend receive --insecure-plaintext`, or another client that takes files"}
		return fail
	case how != dialect.ChooseBest && how != dialect.ChooseOther:
		fail.Hints = append(fail.Hints, "leave `--encryption "+string(how)+"` out to take what the contact's client has")
		return fail
	}
	for _, h := range []struct {
		form dialect.Form
		text string
	}{
		{dialect.FormConversations, " runs Conversations before 2.5.8: `--encryption encrypted-file`"},
		{dialect.FormDraft, " knows the draft of 2017: `--encryption jet-draft`"},
	} {
		for _, p := range answered {
			if slices.Contains(p.Takes, h.form) {
				fail.Hints = append(fail.Hints, clean.Text(p.JID.String())+h.text)
				break
			}
		}
	}
	if how == dialect.ChooseBest && len(plain) > 0 {
		fail.Hints = append(fail.Hints, "to send without encryption, for the servers and everybody on the way to read: "+plainCommand(opt))
	}
	return fail
}

// namedClients is how many clients a sentence names, clientName how many runes of each
// name: it is the client's claim.
const (
	namedClients = 3
	clientName   = 40
)

// cannot says that a contact is online with these clients, and what they cannot do. A
// jetsend could, if it received.
func cannot(who jid.JID, clients []*Peer, what string) string {
	others := slices.DeleteFunc(slices.Clone(clients), func(p *Peer) bool { return p.Software == dialect.Jetsend })
	if len(others) == 0 {
		return clean.Text(who.String()) + " is online with jetsend, but not with `jetsend receive`"
	}
	var names []string
	for _, p := range others {
		name := "a client without a name"
		if runes := []rune(p.Name); len(runes) > clientName {
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
func plainCommand(opt Options) string {
	files := " FILE…"
	if opt.Path != "" {
		files = " " + clean.Argument(clean.Text(opt.Path))
	}
	return "`jetsend send --insecure-plaintext" + files + " " + clean.Argument(clean.Text(opt.To.String())) + "`"
}

// WithoutSets says what a contact gets less, a device of whom has used sets, when the client
// that is chosen takes none: see [Finder.KnownSets].
func WithoutSets(who string) string {
	return "a device of " + clean.Text(who) + " has sent or taken many files in one session before, and its client does not take them so now: " +
		"each file goes in a session of its own, a directory as an archive, all of it or nothing, and nothing that is there already is updated; " +
		"an older jetsend and `receive --stdout` are like that, and a server that hides what the client can do looks the same"
}

// StartsOver says of a contact whose client cannot go on with a part of a file what that
// comes to.
func StartsOver(who string) string {
	return "the client of " + clean.Text(who) + " cannot resume a file: it is sent from the beginning"
}

// NoSets is why a set cannot go on with a client.
func NoSets(to *Peer) *fault.Failure {
	return &fault.Failure{
		Code: exitcode.Incapable, Reason: "the client " + clean.Text(to.JID.String()) + " takes no sets, and the transfer is one",
		Hints: []string{"send it again with --no-resume"},
	}
}
