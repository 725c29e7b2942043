package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
)

// askedAgain is when a client is asked again for which nobody answered: its stream
// may just be broken.
const askedAgain = 3 * time.Second

// settle is how long we keep looking after a presence change, so that the
// resources that come in one burst are compared with each other.
const settle = 50 * time.Millisecond

// burst is how long after its latest change the resources of a contact are all that
// there are: a server tells of them in one go.
const burst = 500 * time.Millisecond

// The features of XEP-0396, JET with OMEMO.
const (
	nsJETOMEMO = "urn:xmpp:jingle:jet-omemo:0"
	nsHashes   = "urn:xmpp:hashes:2"
)

// transportFeatures are the features of the transports (XEP-0260, XEP-0261).
var transportFeatures = map[string]string{S5B: s5b.NS, IBB: ibb.NSTransport}

// peer is a resource of a contact that can take a file.
type peer struct {
	jid        jid.JID
	form       form     // that is offered
	takes      []form   // all that it can take, the best first
	transports []string // in common
	client     client
	name       string    // what it calls itself; a claim
	seen       time.Time // its presence when it was asked
	unsure     bool      // what refused to answer may have been its server
}

// clientOf recognises a client by its disco identity and caps node.
func clientOf(info *session.DiscoInfo, caps session.Caps) client {
	names := strings.ToLower(caps.Node)
	for _, id := range info.Identities {
		names += "\n" + strings.ToLower(id.Name)
	}
	switch {
	case strings.HasSuffix(names, "\njetsend"):
		return jetsend
	case strings.Contains(names, "dino"):
		return dino
	case strings.Contains(names, "libervia"), strings.Contains(names, "salut-a-toi"), strings.Contains(names, "salut à toi"):
		return libervia
	case strings.Contains(names, "atalk"):
		return aTalk
	case strings.Contains(names, "smack"):
		return smack
	case strings.Contains(names, "conversations 1.") || strings.Contains(names, "conversations 0."):
		return conversations1
	case strings.Contains(names, "conversations.im"), strings.Contains(names, "conversations"):
		return conversations
	}
	return otherClient
}

// describe says what a resource can take; its form is the best of what is
// offered unasked, formNone if there is nothing.
func describe(full jid.JID, info *session.DiscoInfo, caps session.Caps) *peer {
	p := &peer{jid: full, client: clientOf(info, caps), name: nameOf(info)}
	for name, feature := range transportFeatures {
		if info.Has(feature) {
			p.transports = append(p.transports, name)
		}
	}
	if p.client == dino { // it accepts in-band, acknowledges every block and keeps none
		p.transports = slices.DeleteFunc(p.transports, func(t string) bool { return t == IBB })
	}
	p.takes = formsOf(p.client, info)
	p.form = p.best(EncryptionAuto)
	return p
}

// choose returns the resources of a contact that a file can be offered to, the
// best form first. It waits for one to appear, at most for opt.Wait.
func (e *Endpoint) choose(ctx context.Context, opt SendOptions) ([]*peer, error) {
	return e.await(ctx, opt, formNone+1)
}

// silence is how long nobody has to be told what is waited for.
const silence = time.Second

// await is chooseForm for somebody who looks on: when nobody is found at once, it
// says what is waited for.
func (e *Endpoint) await(ctx context.Context, opt SendOptions, least form) ([]*peer, error) {
	found := make(chan struct{})
	var teller sync.WaitGroup
	defer teller.Wait()
	defer close(found)
	if opt.To.IsBare() && opt.Wait > silence {
		teller.Go(func() {
			select {
			case <-time.After(silence):
				e.cfg.Report(Waiting{Peer: opt.To.String(), AtMost: opt.Wait, Online: len(e.others(opt.To)) > 0})
			case <-found:
			}
		})
	}
	return e.chooseForm(ctx, opt, least)
}

// others are the resources of a contact that are online, the best first. Of our own
// account they are without the receiver of this very device, which cannot open its
// own envelopes.
func (e *Endpoint) others(of jid.JID) []session.Resource {
	all := slices.DeleteFunc(e.sess.Resources(of), func(r session.Resource) bool {
		return e.own(r.JID) && sameReceiver(r.JID.Resource(), e.resource)
	})
	return replacedLast(all)
}

// sameReceiver reports whether resource is the one of a receiver, or was taken in the
// place of that.
func sameReceiver(resource, of string) bool {
	return resource == of || of != "" && strings.HasPrefix(resource, of+session.OtherResource)
}

// replacedLast puts the resources behind the others in whose place another one was
// taken: what had them was killed, and its server has not noticed.
func replacedLast(all []session.Resource) []session.Resource {
	replaced := func(r session.Resource) bool {
		return slices.ContainsFunc(all, func(o session.Resource) bool {
			return o.JID != r.JID && o.JID.Bare() == r.JID.Bare() && sameReceiver(o.JID.Resource(), r.JID.Resource())
		})
	}
	var first, last []session.Resource
	for _, r := range all {
		if replaced(r) {
			last = append(last, r)
		} else {
			first = append(first, r)
		}
	}
	return append(first, last...)
}

// replacedAmong reports whether a resource came after the peer that was taken in the
// place of its own, or of the one that both wanted. What came in one burst does not say
// which one is the later.
func (p *peer) replacedAmong(all []session.Resource) bool {
	wanted := receiverOf(p.jid.Resource())
	return p.client == jetsend && slices.ContainsFunc(all, func(r session.Resource) bool {
		return r.JID != p.jid && sameReceiver(r.JID.Resource(), wanted) && r.Seen.After(p.seen.Add(burst))
	})
}

// chooseForm is choose among those who have that form or a better one; for others
// it does not end its waiting. Any form is better than none: then, when all clients have
// answered that they take none, it does not wait for others, unless it is told to or
// the contact is known to use a jetsend.
func (e *Endpoint) chooseForm(ctx context.Context, opt SendOptions, least form) ([]*peer, error) {
	if !opt.To.IsBare() {
		return e.chooseFull(ctx, opt)
	}
	if err := e.sess.Appear(ctx); err != nil { // who is not online sees nobody
		return nil, fmt.Errorf("%w: %w", errStreamLost, err)
	}
	wait, cancel := context.WithTimeout(ctx, max(opt.Wait, 0))
	defer cancel()
	asked := map[jid.JID]*peer{}
	hopes, warned := least > formNone+1 || opt.Patient || e.mayCome(ctx, opt), false
	for {
		changed := e.sess.PresenceChanged()
		capable, online := e.ask(ctx, opt, asked, least)
		capable = slices.DeleteFunc(capable, func(p *peer) bool { return p.form < least })
		if len(capable) > 0 {
			return capable, nil
		}
		var hopeless <-chan time.Time // never
		if least == formNone+1 && !warned && e.answered(opt.To, asked) {
			hopeless = time.After(time.Until(e.lastSeen(opt.To).Add(burst)))
		}
		again := time.NewTimer(askedAgain)
		select {
		case <-again.C:
		case <-hopeless:
			f := hintForms(e.noResource(ctx, opt, online, len(asked)), opt, slices.Collect(maps.Values(asked)))
			if !hopes {
				return nil, f
			}
			warned = true
			e.cfg.Report(Warning{Text: f.Reason + "; you wait for another client"})
		case <-changed:
			select {
			case <-time.After(settle):
			case <-wait.Done():
			}
		case <-wait.Done():
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, hintForms(e.noResource(ctx, opt, online, len(asked)), opt, slices.Collect(maps.Values(asked)))
		case <-e.sess.Done():
			return nil, errStreamLost
		}
	}
}

// chooseFull asks the one resource that was named. It need not show presence,
// so there is nothing to wait for.
func (e *Endpoint) chooseFull(ctx context.Context, opt SendOptions) ([]*peer, error) {
	wait, cancel := context.WithTimeout(ctx, discoWait)
	defer cancel()
	info, err := e.sess.DiscoInfo(wait, opt.To, "")
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		f := &Failure{
			Code: exitcode.Offline, Reason: "no answer from " + clean.Text(opt.To.String()), Err: err,
			Hints: []string{"name the contact without a resource to take any that is online"},
		}
		var refused *stanza.Error
		if errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded) {
			f.Err = nil // it says no more than that
		}
		return nil, f
	}
	p := describe(opt.To, info, session.Caps{})
	if p.form = p.best(opt.Encryption); p.form == formNone {
		return nil, hintForms(e.noResource(ctx, opt, 1, 1), opt, []*peer{p})
	}
	return []*peer{p}, nil
}

// answerOf is what was asked about a resource, nil when it is to be asked: somebody who
// comes back under the same address is asked anew, and so is one for whom its server may
// have answered.
func answerOf(asked map[jid.JID]*peer, r session.Resource) *peer {
	if p := asked[r.JID]; p != nil && !p.unsure && p.seen.Equal(r.Seen) {
		return p
	}
	return nil
}

// ask finds out about the resources not asked yet and returns those that can
// take a file, best first, and how many are online at all.
func (e *Endpoint) ask(ctx context.Context, opt SendOptions, asked map[jid.JID]*peer, least form) (capable []*peer, online int) {
	resources := e.others(opt.To)
	unknown := slices.DeleteFunc(slices.Clone(resources), func(r session.Resource) bool { return answerOf(asked, r) != nil })
	q := inquiry{least: least, most: slices.Max(opt.Encryption.Forms()), ask: func(ctx context.Context, r session.Resource) *peer {
		return e.askOne(ctx, opt, r)
	}}
	for _, p := range q.run(ctx, unknown) {
		asked[p.jid] = p
	}
	for _, r := range resources {
		if p := answerOf(asked, r); p != nil && p.form != formNone {
			capable = append(capable, p)
		}
	}
	slices.SortStableFunc(capable, func(a, b *peer) int { return cmp.Compare(b.form, a.form) })
	return capable, len(resources)
}

// askOne asks a resource what it can take; nil when nothing answers for it.
func (e *Endpoint) askOne(ctx context.Context, opt SendOptions, r session.Resource) *peer {
	info, err := e.sess.DiscoInfo(ctx, r.JID, "")
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused): // an answer all the same
		info = &session.DiscoInfo{}
	case err != nil:
		e.log.Debug("disco#info", "jid", r.JID, "error", err)
		return nil
	}
	p := describe(r.JID, info, r.Caps)
	p.form = p.best(opt.Encryption)
	p.seen, p.unsure = r.Seen, refused != nil && codeOfIQ(refused) == exitcode.Offline
	return p
}

// answered reports whether the contact is online and all its clients have said for good
// what they can take.
func (e *Endpoint) answered(who jid.JID, asked map[jid.JID]*peer) bool {
	resources := e.others(who)
	return len(resources) > 0 && !slices.ContainsFunc(resources, func(r session.Resource) bool {
		p := answerOf(asked, r)
		return p == nil || p.client == jetsend // which may be about to receive
	})
}

// lastSeen is when the latest presence of the contact came.
func (e *Endpoint) lastSeen(who jid.JID) (at time.Time) {
	for _, r := range e.others(who) {
		if r.Seen.After(at) {
			at = r.Seen
		}
	}
	return at
}

// mayCome reports whether a jetsend of the contact is known, which may come online.
func (e *Endpoint) mayCome(ctx context.Context, opt SendOptions) bool {
	devices, err := e.omemo.Devices(ctx, opt.To.Bare())
	if err != nil {
		return false
	}
	known, err := e.knownJetsend(ctx, opt.To.Bare(), devices)
	return known && err == nil
}

// receiverOf is the resource that a receiver of ours wanted to have.
func receiverOf(resource string) string {
	parts := strings.SplitN(resource, session.OtherResource, 3) // newResource has one of these
	return strings.Join(parts[:min(len(parts), 2)], session.OtherResource)
}

// prefer puts the client that a transfer was offered to last, if it is there, before
// the others of its form: it has what came so far, and is the one that was named or
// said yes. The others would begin at 0.
func prefer(peers []*peer, resource string) []*peer {
	last := func(p *peer) int {
		if base := receiverOf(resource); base != "" && sameReceiver(p.jid.Resource(), base) {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(peers), func(a, b *peer) int {
		return cmp.Or(cmp.Compare(b.form, a.form), cmp.Compare(last(b), last(a)))
	})
}

// check says whether the peer can be given what was asked for.
func (p peer) check(opt SendOptions, sources []*source) error {
	who := clean.Text(p.jid.String())
	incapable := func(reason string, hints ...string) error {
		return &Failure{Code: exitcode.Incapable, Reason: reason, Hints: hints}
	}
	suite := p.form.Suite(opt.Cipher)
	if opt.Cipher != "" && opt.Cipher != suite.Name() {
		return incapable(fmt.Sprintf("the offer to %s would use %s, not %s", who, suite.Name(), opt.Cipher), "leave --cipher out")
	}
	if p.form != formJetsend {
		if opt.HiddenName {
			return incapable("the client "+who+" cannot be told a name that the servers do not see",
				"leave --require-hidden-name away, or give the file another name with --name")
		}
		if opt.VerifiedReceipt {
			return incapable("the client "+who+" cannot prove that a file arrived", "leave --require-verified-receipt away")
		}
	}
	for _, s := range sources {
		if s.Size > p.form.Limit(p.client) {
			return incapable(fmt.Sprintf("%s is too large for %s (%d bytes, at most %d)", s.Name, who, s.Size, p.form.Limit(p.client)))
		}
	}
	return nil
}

// guardForm refuses the lesser form towards a contact one of whose keys once
// used our profile: a server that hides the feature would gain by it.
func (e *Endpoint) guardForm(ctx context.Context, p *peer, opt SendOptions) error {
	if p.form == formJetsend || opt.Encryption != EncryptionAuto { // asked for, it is not silent
		return nil
	}
	devices, err := e.omemo.Devices(ctx, p.jid.Bare())
	if err != nil {
		return err
	}
	return e.guardKeys(ctx, p.jid.Bare(), devices, p.form)
}

// guardKeys refuses a lesser form when one of the devices has used our profile,
// whether or not it is on the contact's list at the moment.
func (e *Endpoint) guardKeys(ctx context.Context, bare jid.JID, devices []omemo.Device, f form) error {
	known, err := e.knownJetsend(ctx, bare, devices)
	if err != nil || !known {
		return err
	}
	who := clean.Text(bare.String())
	return &Failure{
		Code: exitcode.Untrusted, Reason: "a device of " + who + " has used jetsend before, and no client that is online offers it now",
		Hints: []string{
			"ask the contact to run `jetsend receive`",
			"to send all the same, with the name visible to the servers: `--encryption " + f.Word() + "`",
		},
	}
}

// rememberJetsend takes note of a key that used our profile.
func (e *Endpoint) rememberJetsend(ctx context.Context, d omemo.Device) {
	const add = `INSERT INTO jetsends (jid, identity_key) VALUES (?, ?) ON CONFLICT DO NOTHING`
	if err := state.Exec(ctx, e.db, add, d.JID.Bare().String(), d.IdentityKey); err != nil {
		e.log.Warn("remember jetsend", "jid", d.JID, "error", err)
	}
}

// knownJetsend tells whether one of the devices used our profile.
func (e *Endpoint) knownJetsend(ctx context.Context, bare jid.JID, devices []omemo.Device) (bool, error) {
	for _, d := range devices {
		var n int
		const count = `SELECT count(*) FROM jetsends WHERE jid = ? AND identity_key = ?`
		if err := e.db.QueryRowContext(ctx, count, bare.String(), d.IdentityKey).Scan(&n); err != nil {
			return false, fmt.Errorf("look for jetsends of %s: %w", bare, err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}
