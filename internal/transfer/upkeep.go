package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	// maxChores bounds what waits for the database or the server; what does not
	// fit is done when it is needed, or asked for again.
	maxChores = 128
	// maxChoreWeight bounds what one of them holds of a contact's: an envelope for
	// five hundred devices, which is more than are read of one.
	maxChoreWeight = 256 << 10
	// choreTime bounds one chore: a few round trips.
	choreTime = 30 * time.Second
	// primePause gathers the presences of a login into one round of priming.
	primePause = time.Second
	// primeEvery is the pace of rounds when nobody comes or goes.
	primeEvery = time.Hour
	// primeRest is how often there is a round when clients come and go all the time,
	// once primesAtLogin came at once: each looks through the account's contacts.
	primeRest     = 10 * time.Second
	primesAtLogin = 10
	// maxPrimes bounds the clients looked at in one round, primesAtOnce those at
	// the same time.
	maxPrimes    = 200
	primesAtOnce = 8
	// maxPrimesContact bounds those of one contact: his may all be silent.
	maxPrimesContact = 8
)

// chore hands work to the endpoint's own goroutine, so that neither the
// stream's dispatcher nor a transfer waits for it. It tells whether that will be
// done.
func (e *Endpoint) chore(what string, f func(context.Context) error) bool {
	select {
	case e.chores <- chore{what: what, do: f}:
		return true
	default:
		e.log.Warn("too much to do at once, left out", "what", what)
		return false
	}
}

type chore struct {
	what string
	do   func(context.Context) error
}

// upkeep does our own chores until ctx ends.
func (e *Endpoint) upkeep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-e.chores:
			e.doChore(ctx, c)
		}
	}
}

// doChore does one chore, within its time.
func (e *Endpoint) doChore(ctx context.Context, c chore) {
	run, cancel := context.WithTimeout(ctx, choreTime)
	defer cancel()
	if err := c.do(run); err != nil && ctx.Err() == nil {
		e.log.Warn(c.what, "error", err)
	}
}

// handleList is called on the stream's dispatcher for pushed device lists.
func (e *Endpoint) handleList(_ context.Context, from jid.JID, item *xmltree.Element) {
	if !e.onRoster(from) || item.Weight() > maxChoreWeight || item.Child(omemo.NS, "list") == nil {
		return // theirs is fetched when it is needed
	}
	e.errand(from, "device list of "+from.String(), func(ctx context.Context) error {
		if err := e.omemo.DeviceListChanged(ctx, from, item); err != nil {
			if errors.Is(err, omemo.ErrTooMany) {
				return nil // no news for the log, which he could fill
			}
			return err
		}
		if from.Bare() == e.sess.JID().Bare() {
			return e.keepAnnounced(ctx)
		}
		return nil
	})
}

// handleEncrypted is called on the stream's dispatcher for OMEMO messages: the
// answers of those whom we wrote to, and copies of chats.
func (e *Endpoint) handleEncrypted(_ context.Context, m stanza.Message) {
	encrypted := m.Child(omemo.NS, "encrypted")
	from := m.From // and no more of the message is kept
	if encrypted == nil || m.Type == "error" || from.IsBare() || !e.onRoster(from) || encrypted.Weight() > maxChoreWeight {
		return
	}
	e.errand(from, "omemo message", func(ctx context.Context) error {
		err := e.omemo.HandleMessage(ctx, e.sess, from, encrypted)
		switch {
		case errors.Is(err, omemo.ErrNotForUs), errors.Is(err, omemo.ErrTooMany):
			return nil
		case errors.Is(err, omemo.ErrEnvelope):
			return errors.Join(err, e.heal(ctx, from, err))
		case err != nil:
			return err
		}
		return errors.Join(e.keepAnnounced(ctx), e.steps(ctx))
	})
}

// onRoster tells whether somebody is on the account's list, or is the account itself.
func (e *Endpoint) onRoster(from jid.JID) bool {
	bare := from.Bare()
	return bare == e.sess.JID().Bare() || e.sess.Subscription(bare) != ""
}

// keepAnnounced publishes our bundle and our place in the list where needed.
func (e *Endpoint) keepAnnounced(ctx context.Context) error {
	wait, err := e.omemo.KeepAnnounced(ctx, e.sess)
	if wait > 0 {
		e.log.Warn("our device is taken off the account's list again and again", "next try in", wait)
	}
	return err
}

// healLater mends the session with a device whose envelope did not open, which err
// says, so that its next one does.
func (e *Endpoint) healLater(from jid.JID, err error) {
	e.errand(from, "heal session with "+from.String(), func(ctx context.Context) error { return e.heal(ctx, from, err) })
}

func (e *Endpoint) heal(ctx context.Context, from jid.JID, cause error) error {
	children, err := e.omemo.Heal(ctx, e.sess, cause, func() bool { return e.needsJunk(ctx, from) })
	if errors.Is(err, omemo.ErrTooMany) || err == nil && len(children) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	e.log.Info("session healed", "with", from)
	return e.sess.Send(ctx, stanza.Message{To: from, Type: "chat", Children: children})
}

// steps sends the ratchet steps that are due to those who are online: each contact's
// is an errand, since what his client can do has to be asked.
func (e *Endpoint) steps(ctx context.Context) error {
	due, err := e.omemo.DueSteps(ctx)
	if err != nil {
		return err
	}
	for _, d := range due {
		if e.isOnline(d.At) {
			e.errand(d.At, "ratchet step", func(ctx context.Context) error { return e.step(ctx, d) })
		}
	}
	return nil
}

func (e *Endpoint) step(ctx context.Context, d omemo.Device) error {
	children, err := e.omemo.Step(ctx, e.sess, d, func() bool { return e.needsJunk(ctx, d.At) })
	if err == nil && len(children) > 0 {
		err = e.sess.Send(ctx, stanza.Message{To: d.At, Type: "chat", Children: children})
	}
	if err != nil {
		return fmt.Errorf("step with %s: %w", d.At, err)
	}
	return nil
}

func (e *Endpoint) isOnline(full jid.JID) bool {
	for _, r := range e.sess.Resources(full.Bare()) {
		if r.JID == full {
			return true
		}
	}
	return false
}

// prime makes our sessions known to the clients that would not begin one for
// a file, as long as the run lasts: those of whom a file would be taken, once
// for each client and session.
func (r *receiver) prime(ctx context.Context) {
	var priming atomic.Bool
	rounds := rate.NewLimiter(rate.Every(primeRest), primesAtLogin)
	for {
		changed := r.e.sess.PresenceChanged()
		next := primeEvery
		if r.terms().Prime && priming.CompareAndSwap(false, true) { // else a round is waiting already
			r.e.chore("publish our device", r.e.keepAnnounced)
			r.e.chore("ratchet steps", r.e.steps)
			waits := r.e.chore("prime", func(ctx context.Context) error {
				priming.Store(false)
				return r.primeRound(ctx)
			})
			if !waits { // the device lists of a login may be more than there is room for
				priming.Store(false)
				next = primePause
			}
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-r.e.sess.Done():
		case <-timer.C:
		case <-changed:
		case <-r.e.newcomer:
		}
		timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-r.e.sess.Done():
			return
		case <-time.After(max(primePause, rounds.Reserve().Delay())):
		}
	}
}

func (r *receiver) primeRound(ctx context.Context) error {
	contacts, err := r.contacts(ctx)
	if err != nil {
		return err
	}
	online := make([][]session.Resource, len(contacts))
	for i, bare := range contacts {
		online[i] = r.e.sess.Resources(bare)
	}
	// At once, because a client that does not answer must not keep the others
	// waiting.
	var group errgroup.Group
	group.SetLimit(primesAtOnce)
	for _, res := range turns(online) {
		group.Go(func() error {
			if err := r.e.primeOne(ctx, res); err != nil {
				return fmt.Errorf("prime %s: %w", res.JID, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// turns are the clients that a round looks at: a few of each contact, so that one with
// many that are silent does not use up the time of all.
func turns(online [][]session.Resource) (all []session.Resource) {
	for _, of := range online {
		all = append(all, of[:min(len(of), maxPrimesContact)]...) // best first
	}
	return all[:min(len(all), maxPrimes)]
}

// contacts are those whose files would be taken by the accept policy.
func (r *receiver) contacts(ctx context.Context) ([]jid.JID, error) {
	var all []jid.JID
	t := r.terms()
	if t.Accept == AcceptFrom {
		for _, j := range t.From {
			all = append(all, j.Bare())
		}
	} else {
		items, err := r.e.sess.Roster(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, r.e.sess.JID().Bare())
		for _, it := range items {
			if it.Subscription == "from" || it.Subscription == "both" {
				all = append(all, it.JID)
			}
		}
	}
	out := all[:0]
	for _, bare := range all {
		if t.names(bare) && t.verifiedEnough(ctx, bare) {
			out = append(out, bare)
		}
	}
	return out, nil
}

// verifiedEnough reports whether the terms could take anything from the contact's devices.
func (t *terms) verifiedEnough(ctx context.Context, bare jid.JID) bool {
	if t.Accept != AcceptVerified {
		return true
	}
	devices, err := t.e.omemo.Devices(ctx, bare)
	return err == nil && slices.ContainsFunc(devices, func(d omemo.Device) bool { return d.Trust == omemo.Verified })
}

// primeOne sends one resource what it needs to encrypt to us, if anything.
func (e *Endpoint) primeOne(ctx context.Context, res session.Resource) error {
	need, err := e.omemo.Unprimed(ctx, res.JID)
	if err != nil {
		return err
	}
	known, err := e.omemo.Devices(ctx, res.JID.Bare())
	if err != nil || len(need) == 0 && len(known) > 0 {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, discoWait)
	defer cancel()
	info, err := e.sess.DiscoInfo(ask, res.JID, "")
	if err != nil {
		return nil //nolint:nilerr // a client that does not say what it can do is not primed
	}
	if p := describe(res.JID, info, res.Caps); p.Form != formJET {
		return nil // jetsends begin their sessions themselves, others cannot use one
	}
	children, err := e.omemo.Prime(ctx, e.sess, res.JID, 0, e.needsJunk(ctx, res.JID))
	if errors.Is(err, omemo.ErrNoDevice) {
		return nil
	}
	if err != nil || len(children) == 0 {
		return err
	}
	e.log.Info("primed", "client", res.JID)
	return e.sess.Send(ctx, stanza.Message{To: res.JID, Type: "chat", Children: children})
}

// nsVersion is XEP-0092.
const nsVersion = "jabber:iq:version"

// needsJunk tells whether a client overlooks OMEMO messages without a payload:
// Dino before 0.4.5.
func (e *Endpoint) needsJunk(ctx context.Context, full jid.JID) bool {
	ctx, cancel := context.WithTimeout(ctx, discoWait)
	defer cancel()
	caps := session.Caps{}
	for _, r := range e.sess.Resources(full.Bare()) {
		if r.JID == full {
			caps = r.Caps
		}
	}
	info, err := e.sess.DiscoInfo(ctx, full, "")
	if err != nil || clientOf(info, caps) != dino {
		return false
	}
	v, err := e.sess.IQ(ctx, full, stanza.Get, xmltree.New(nsVersion, "query"))
	if err != nil {
		return true // it does no harm to later ones
	}
	return olderThan(v.ChildText(nsVersion, "version"), 0, 4, 5)
}

// olderThan compares a dotted version; what cannot be read is old.
func olderThan(version string, limit ...int) bool {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	for i, want := range limit {
		if i >= len(parts) {
			return true
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < want {
			return true
		}
		if n > want {
			return false
		}
	}
	return false
}
