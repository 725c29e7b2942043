// Package upkeep does beside the transfers what no transfer and no dispatcher may wait
// for: it keeps our OMEMO device announced, follows the device lists of contacts, mends
// sessions that no envelope opens of any more, sends the ratchet steps that are due, and
// makes our sessions known to clients that begin none for a file.
//
// Work that we have to do for ourselves is a chore, one at a time; work that a contact
// gives us to do is an errand, one at a time for each contact, so that nobody waits for
// somebody else's server. Both are bounded in number, in time, and in what they hold of
// a contact's. Work that does not fit is left out: it is done when it is needed, or
// asked for again.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	// maxChoreWeight bounds what one of them holds of a contact's: an envelope for
	// five hundred devices, which is more than are read of one.
	maxChoreWeight = 256 << 10
	// choreTime bounds one chore: a few round trips.
	choreTime = 30 * time.Second
)

// Account is what is needed of an XMPP account online, in the words of
// [session.Session].
type Account interface {
	omemo.PEP
	JID() jid.JID
	Done() <-chan struct{}
	Send(context.Context, stanza.Message) error
	IQ(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error)
	DiscoInfo(ctx context.Context, of jid.JID, node string) (*session.DiscoInfo, error)
	Resources(bare jid.JID) []session.Resource
	PresenceChanged() <-chan struct{}
	Subscription(bare jid.JID) string
}

// Device is what is needed of our OMEMO device, in the words of [omemo.Account].
type Device interface {
	KeepAnnounced(context.Context, omemo.PEP) (wait time.Duration, err error)
	DeviceListChanged(ctx context.Context, from jid.JID, item *xmltree.Element) error
	Devices(ctx context.Context, of jid.JID) ([]omemo.Device, error)
	HandleMessage(ctx context.Context, p omemo.PEP, from jid.JID, encrypted *xmltree.Element) error
	Heal(ctx context.Context, p omemo.PEP, cause error, junk func() bool) ([]*xmltree.Element, error)
	DueSteps(context.Context) ([]omemo.Device, error)
	Step(ctx context.Context, p omemo.PEP, d omemo.Device, junk func() bool) ([]*xmltree.Element, error)
	Unprimed(ctx context.Context, of jid.JID) ([]omemo.Device, error)
	Prime(ctx context.Context, p omemo.PEP, to jid.JID, device uint32, junk bool) ([]*xmltree.Element, error)
}

// Upkeep does the work, from Begin to Close.
type Upkeep struct {
	account  Account
	device   Device
	log      *slog.Logger
	work     queues
	newcomer chan struct{}
}

// New is the upkeep of a device on an account.
func New(account Account, device Device, log *slog.Logger) *Upkeep {
	return &Upkeep{account: account, device: device, log: log, newcomer: make(chan struct{}, 1)}
}

// Begin takes work until Close, or the end of ctx.
func (u *Upkeep) Begin(ctx context.Context) { u.work.begin(ctx, u.do) }

// Close ends what is being done, waits for that, and takes no more.
func (u *Upkeep) Close() { u.work.end() }

// do does one piece of work, within its time.
func (u *Upkeep) do(ctx context.Context, t task) {
	run, cancel := context.WithTimeout(ctx, choreTime)
	defer cancel()
	if err := t.do(run); err != nil && ctx.Err() == nil {
		u.log.Warn(t.what, "error", err)
	}
}

// Chore takes work of our own, which what names for the log, and reports whether it will
// be done. It does not wait.
func (u *Upkeep) Chore(what string, f func(context.Context) error) bool {
	taken := u.work.add(ours, task{what, f})
	if !taken {
		u.log.Warn("too much to do at once, left out", "what", what)
	}
	return taken
}

// errand takes work that somebody on the account's list gives us. Work that
// does not fit is no news for the log, which he could fill.
func (u *Upkeep) errand(of jid.JID, what string, f func(context.Context) error) {
	if !u.work.add(of.Bare(), task{what, f}) {
		u.log.Debug("too much to do at once, left out", "what", what, "of", of)
	}
}

// Online is to be called after every login but the first.
func (u *Upkeep) Online() { u.Chore("come online again", u.keepAnnounced) }

// Opened is to be called after an envelope was opened: it may have been of our last
// one-time keys, or begun a session.
func (u *Upkeep) Opened() {
	u.Chore("upkeep after an envelope", func(ctx context.Context) error {
		return errors.Join(u.keepAnnounced(ctx), u.steps(ctx))
	})
}

// Unopened mends the session with a device whose envelope did not open, which err
// says, so that its next one does.
func (u *Upkeep) Unopened(from jid.JID, err error) {
	u.errand(from, "heal session with "+from.String(), func(ctx context.Context) error { return u.heal(ctx, from, err) })
}

// HandleList is to be called with pushed device lists, on the stream's dispatcher.
func (u *Upkeep) HandleList(_ context.Context, from jid.JID, item *xmltree.Element) {
	if !u.onRoster(from) || item.Weight() > maxChoreWeight || item.Child(omemo.NS, "list") == nil {
		return // theirs is fetched when it is needed
	}
	u.errand(from, "device list of "+from.String(), func(ctx context.Context) error {
		if err := u.device.DeviceListChanged(ctx, from, item); err != nil {
			if errors.Is(err, omemo.ErrTooMany) {
				return nil // no news for the log, which he could fill
			}
			return err
		}
		if from.Bare() == u.account.JID().Bare() {
			return u.keepAnnounced(ctx)
		}
		return nil
	})
}

// HandleEncrypted is to be called with OMEMO messages, on the stream's dispatcher: the
// answers of those whom we wrote to, and copies of chats.
func (u *Upkeep) HandleEncrypted(_ context.Context, m stanza.Message) {
	encrypted := m.Child(omemo.NS, "encrypted")
	from := m.From // and no more of the message is kept
	if encrypted == nil || m.Type == "error" || from.IsBare() || !u.onRoster(from) || encrypted.Weight() > maxChoreWeight {
		return
	}
	u.errand(from, "omemo message", func(ctx context.Context) error {
		err := u.device.HandleMessage(ctx, u.account, from, encrypted)
		switch {
		case errors.Is(err, omemo.ErrNotForUs), errors.Is(err, omemo.ErrTooMany):
			return nil
		case errors.Is(err, omemo.ErrEnvelope):
			return errors.Join(err, u.heal(ctx, from, err))
		case err != nil:
			return err
		}
		return errors.Join(u.keepAnnounced(ctx), u.steps(ctx))
	})
}

// onRoster reports whether somebody is on the account's list, or is the account itself.
func (u *Upkeep) onRoster(from jid.JID) bool {
	bare := from.Bare()
	return bare == u.account.JID().Bare() || u.account.Subscription(bare) != ""
}

// keepAnnounced publishes our bundle and our place in the list where needed.
func (u *Upkeep) keepAnnounced(ctx context.Context) error {
	wait, err := u.device.KeepAnnounced(ctx, u.account)
	if wait > 0 {
		u.log.Warn("our device is taken off the account's list again and again", "next try in", wait)
	}
	return err
}

func (u *Upkeep) heal(ctx context.Context, from jid.JID, cause error) error {
	children, err := u.device.Heal(ctx, u.account, cause, func() bool { return u.needsJunk(ctx, from) })
	if errors.Is(err, omemo.ErrTooMany) || err == nil && len(children) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	u.log.Info("session healed", "with", from)
	return u.send(ctx, from, children)
}

// steps sends the ratchet steps that are due to those who are online: each contact's
// is an errand, since what his client can do has to be asked.
func (u *Upkeep) steps(ctx context.Context) error {
	due, err := u.device.DueSteps(ctx)
	if err != nil {
		return err
	}
	for _, d := range due {
		if u.resource(d.At) != nil {
			u.errand(d.At, "ratchet step", func(ctx context.Context) error { return u.step(ctx, d) })
		}
	}
	return nil
}

func (u *Upkeep) step(ctx context.Context, d omemo.Device) error {
	children, err := u.device.Step(ctx, u.account, d, func() bool { return u.needsJunk(ctx, d.At) })
	if err == nil && len(children) > 0 {
		err = u.send(ctx, d.At, children)
	}
	if err != nil {
		return fmt.Errorf("step with %s: %w", d.At, err)
	}
	return nil
}

// resource is a client that is online, else nil.
func (u *Upkeep) resource(full jid.JID) *session.Resource {
	for _, r := range u.account.Resources(full.Bare()) {
		if r.JID == full {
			return &r
		}
	}
	return nil
}

// send brings a client OMEMO elements without a payload.
func (u *Upkeep) send(ctx context.Context, to jid.JID, children []*xmltree.Element) error {
	return u.account.Send(ctx, stanza.Message{To: to, Type: "chat", Children: children})
}
