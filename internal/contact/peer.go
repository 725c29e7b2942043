package contact

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/profile"
	"jetsend/internal/session"
)

// NSJETOMEMO is the feature of XEP-0396, JET with OMEMO.
const NSJETOMEMO = "urn:xmpp:jingle:jet-omemo:0"

// Transports are the transports that are known here, the best first, with the features
// that say them (XEP-0260, XEP-0261).
func Transports() []Transport { return []Transport{{s5b.Name, s5b.NS}, {ibb.Name, ibb.NSTransport}} }

// Transport is a way for the bytes of a file, and the feature that says it.
type Transport struct{ Name, Feature string }

// Peer is a client of a contact that was asked what it can take.
type Peer struct {
	JID        jid.JID          // full
	Form       dialect.Form     // the one to offer; [dialect.FormNone]: it takes none that was asked for
	Takes      []dialect.Form   // all that it can take, the best first
	Sets       bool             // it takes sets, in our profile
	Transports []string         // that it has of [Transports], in their order
	Software   dialect.Software // by its own word
	Name       string           // what it calls itself, cleaned; a claim
	Seen       time.Time        // when its presence came that was there when it was asked; zero: none

	unsure bool // what refused to answer may have been its server
}

// SoftwareOf recognises a client by its disco identity and caps node.
func SoftwareOf(info *session.DiscoInfo, caps session.Caps) dialect.Software {
	names := strings.ToLower(caps.Node)
	for _, id := range info.Identities {
		names += "\n" + strings.ToLower(id.Name)
	}
	switch {
	case strings.HasSuffix(names, "\njetsend"):
		return dialect.Jetsend
	case strings.Contains(names, "dino"):
		return dialect.Dino
	case strings.Contains(names, "libervia"), strings.Contains(names, "salut-a-toi"), strings.Contains(names, "salut à toi"):
		return dialect.Libervia
	case strings.Contains(names, "atalk"):
		return dialect.ATalk
	case strings.Contains(names, "smack"):
		return dialect.Smack
	case strings.Contains(names, "conversations 1.") || strings.Contains(names, "conversations 0."):
		return dialect.Conversations1
	case strings.Contains(names, "conversations.im"), strings.Contains(names, "conversations"):
		return dialect.Conversations
	}
	return dialect.OtherClient
}

// Describe says what a resource can take; its form is the best of what is
// offered unasked, [dialect.FormNone] if there is nothing.
func Describe(full jid.JID, info *session.DiscoInfo, caps session.Caps) *Peer {
	p := &Peer{JID: full, Software: SoftwareOf(info, caps), Name: NameOf(info)}
	for _, t := range Transports() {
		if info.Has(t.Feature) {
			p.Transports = append(p.Transports, t.Name)
		}
	}
	if p.Software == dialect.Dino { // it accepts in-band, acknowledges every block and keeps none
		p.Transports = slices.DeleteFunc(p.Transports, func(t string) bool { return t == ibb.Name })
	}
	p.Takes = formsOf(p.Software, info)
	p.Sets = slices.Contains(p.Takes, dialect.FormJetsend) && info.Has(profile.NSSet)
	p.Form = p.Best(dialect.ChooseBest)
	return p
}

// formsOf are the forms that a client can take, by what it says of itself. A
// client that does not say so stores what it cannot open as the file, and calls
// that success: nothing is offered on a guess.
func formsOf(c dialect.Software, info *session.DiscoInfo) (out []dialect.Form) {
	if !info.Has(jingle.NS) {
		return nil
	}
	file, jet := info.Has(jingle.NSFile), info.Has(jingle.NSJET)
	for _, x := range []struct {
		form dialect.Form
		can  bool
	}{
		{dialect.FormJetsend, file && info.Has(dialect.WordJetsend)},
		{dialect.FormJET, file && (info.Has(dialect.WordJetsend) || jet && info.Has(NSJETOMEMO))},
		{dialect.FormEncryptedFile, info.Has(jingle.NSEncryptedFile)},
		{dialect.FormDraft, file && (info.Has(dialect.WordJetsend) || jet && !info.Has(NSJETOMEMO))}, // which stores it as it is, and says success
		{dialect.FormConversations, file && !info.Has(NSJETOMEMO) && (c == dialect.Conversations || c == dialect.Conversations1)},
		{dialect.FormPlaintext, file},
	} {
		if x.can && (c != dialect.Libervia || x.form == dialect.FormPlaintext) { // Libervia opens no standard envelope
			out = append(out, x.form)
		}
	}
	return out
}

// Best is the best form of the peer's that the choice allows.
func (p *Peer) Best(how dialect.Choice) dialect.Form {
	for _, f := range p.Takes {
		if slices.Contains(how.Forms(), f) {
			return f
		}
	}
	return dialect.FormNone
}

// NameOf is the name that a client's disco identity gives, cleaned; "": none.
func NameOf(info *session.DiscoInfo) string {
	for _, id := range info.Identities {
		if id.Category == "client" && id.Name != "" {
			return clean.Text(id.Name)
		}
	}
	return ""
}

// Check says, as a *[fault.Failure], why the client cannot be given what was asked for.
func (p *Peer) Check(opt Options) error {
	who := clean.Text(p.JID.String())
	suite := p.Form.Suite(opt.Cipher)
	if opt.Cipher != "" && opt.Cipher != suite.Name() {
		return incapable(fmt.Sprintf("the offer to %s would use %s, not %s", who, suite.Name(), opt.Cipher), "leave --cipher out")
	}
	switch {
	case p.Form == dialect.FormJetsend:
	case opt.HiddenName:
		return incapable("the client "+who+" cannot be told a name that the servers do not see",
			"leave --require-hidden-name out, or give the file another name with --name")
	case opt.VerifiedReceipt:
		return incapable("the client "+who+" cannot prove that a file arrived", "leave --require-verified-receipt out")
	}
	return nil
}

// CheckSize says, as a *[fault.Failure], that a file of that many bytes is too large for the
// client.
func (p *Peer) CheckSize(name string, size int64) error {
	if most := p.Form.Limit(p.Software); size > most {
		return incapable(fmt.Sprintf("%s is too large for %s (%d bytes, at most %d)", name, clean.Text(p.JID.String()), size, most))
	}
	return nil
}

func incapable(reason string, hints ...string) error {
	return &fault.Failure{Code: exitcode.Incapable, Reason: reason, Hints: hints}
}
