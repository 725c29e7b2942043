package conversation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	// wordTries is how often it is tried to bring the peer a word of ours while the peer, or
	// we, cannot be reached.
	wordTries = 4
	// watchMisses is how often the contact's client must be missing until it is gone.
	watchMisses = 3
)

// ReportAccepted says that the receiver has said yes, and from where on.
func (c *Conversation) ReportAccepted(offset int64) {
	c.world.Report(event.Accepted{Head: c.Head})
	if offset > 0 {
		c.world.Report(event.Resumed{Head: c.Head, Offset: offset})
	}
}

// ReportPath says that a bytestream stands, and what protects it.
func (c *Conversation) ReportPath() {
	c.world.Report(event.Negotiated{
		Head: c.Head, Transport: c.Path.Transport, Candidate: c.Path.Candidate, Way: c.Path.Way, Cipher: c.Dialect.Secret().Suite().Name(),
		Encryption: c.Dialect.Form().Word(), Devices: deviceInfos(c.Devices),
	})
}

// Tell brings the peer a session-info that matters, and tries again while one
// of us cannot be reached and the actor lives; once in any case. The peer's opinion of
// it is the peer's business.
func (c *Conversation) Tell(life context.Context, payload *xmltree.Element) error {
	return c.tell(life, func(ctx context.Context) error { return c.Session.Info(ctx, payload) })
}

// TellLast is Tell for a word with which the session has succeeded. A jetsend is told that right
// behind it: the word is what counts, and it is told again as long as that was not
// acknowledged. The caller ends the session in any case.
func (c *Conversation) TellLast(life context.Context, payload *xmltree.Element) error {
	if !c.Dialect.Form().Seals() {
		return c.Tell(life, payload)
	}
	return c.tell(life, func(ctx context.Context) error {
		return c.Session.Conclude(ctx, payload, jingle.Reason{Condition: jingle.Success})
	})
}

func (c *Conversation) tell(life context.Context, say func(context.Context) error) error {
	pauses := c.world.Timing.Words
	for try := 1; ; try++ {
		err := c.tellOnce(say)
		var refused *stanza.Error
		switch {
		case err == nil, errors.As(err, &refused) && (fault.CodeOfAnswer(refused) != exitcode.Offline || refused.Condition == stanza.ItemNotFound):
			return nil // item-not-found is an answer: the session is not known any more
		case errors.Is(err, jingle.ErrEnded), try == wordTries:
			return err
		}
		if Sleep(life, c.world.Account, pauses.Next()) != nil {
			return err
		}
	}
}

func (c *Conversation) tellOnce(say func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.world.Timing.Word) // also when the actor is stopped
	defer cancel()
	if err := c.world.Account.WaitOnline(ctx); err != nil {
		return err
	}
	return say(ctx)
}

// Terminate ends the session because of err, and says so to the peer. The session is over
// at once, whatever the peer gets to know; its answer is awaited for a moment.
func (c *Conversation) Terminate(err error) {
	reason := c.ReasonFor(err)
	if no := fault.Of(err).Refusal; no != nil && !c.Session.Initiator() { // of the contact's offer, which it answers
		reason = no.Reason
	}
	_ = c.Session.Terminate(context.Background(), reason)
}

// ReasonFor is what the peer is told about err, with the detail sealed where that changes
// what it keeps.
func (c *Conversation) ReasonFor(err error) jingle.Reason {
	k := fault.Of(err)
	r := k.Reason()
	if c.Dialect == nil || !k.Sealed() {
		return r
	}
	sealed, serr := c.Dialect.Reason(k.Detail, role(c.Session.Initiator()))
	if serr != nil {
		c.world.Log.Warn("seal reason", "transfer", c.Dialect.Sealed().Transfer, "error", serr)
	} else if sealed != nil {
		r.Detail.Add(sealed)
	}
	return r
}

// role is the one of an end of a session.
func role(initiator bool) string {
	if initiator {
		return jingle.SenderInitiator
	}
	return jingle.SenderResponder
}

// Proves reports whether the peer has ended the session with a success that its sealed
// receipt has to prove. That decides then, whatever was not acknowledged before.
func (c *Conversation) Proves(err error) bool {
	return c.Dialect != nil && c.Dialect.Form().Seals() && fault.Of(err).Said(jingle.Success)
}

// Unacknowledged says of a success what is wrong with it, when all of the file went out
// and a part of it was not acknowledged in time.
func Unacknowledged(path *route.Path, err error) error {
	if !path.HandedOver() || !fault.Of(err).Said(jingle.Success) {
		return err
	}
	return fmt.Errorf("the end of the file was never acknowledged: %w", err)
}

// EndedWith is the peer's end of the session as an error.
func (c *Conversation) EndedWith(r jingle.Reason) *fault.Ended {
	ended := &fault.Ended{Reason: r}
	if name := fault.DetailOf(r); name != "" && c.Dialect != nil {
		ended.Proven = c.Dialect.Proves(name, role(!c.Session.Initiator()), r.Detail.Children)
	}
	return ended
}

// TellTrailer tells the receiver the checksum of what was sent. A receiver that
// has left by then does without.
func (c *Conversation) TellTrailer(life context.Context) {
	word := c.Dialect.Trailer()
	if word == nil {
		return
	}
	if err := c.Tell(life, word); err != nil {
		c.world.Log.Debug("checksum behind the bytes", "peer", c.Session.Peer(), "error", err)
	}
}

// AwaitTrailer is await for a checksum of the sender, which need not come in every form.
func (c *Conversation) AwaitTrailer(patience time.Duration, late error, look func(*xmltree.Element) (bool, error)) error {
	if patience == 0 {
		if found, err := c.LookNow(look); found || err != nil {
			return err
		}
		return late
	}
	if patience <= dialect.ChecksumTime { // for what need not come
		patience = min(patience, c.world.Timing.Checksum)
	}
	err := c.Await(patience, late, look)
	if err != nil {
		c.world.Log.Debug("no checksum", "peer", c.Session.Peer(), "error", err)
	}
	return err
}

// ReadAccept reads the session-accept of what we opened, for a file of so many bytes of
// which a session carries at most limit, and with it where the contact can be met.
func (c *Conversation) ReadAccept(size, limit int64) (dialect.Accepted, error) {
	a, err := c.Dialect.ReadAccept(c.Agreed, size, limit)
	if err == nil {
		c.Route.Meet((*route.Punch)(a.Punch))
	}
	return a, err
}

// Answer accepts an offer or request of the contact for the span, with a sealed accept
// where that is understood. device is ours. accepting is called
// right before the peer may come to know it.
func (c *Conversation) Answer(routes *route.Finder, paths route.Options, s profile.Span, prefix string, device uint32, accepting func()) error {
	return c.Step(Needs{Server: true}, func(ctx context.Context) error {
		offered := c.Session.Content()
		r, err := routes.Answer(ctx, route.Peer{
			JID: c.Session.Peer(), Modulo65535: c.Dialect.Libervia(), Jetsend: c.Dialect.Form() == dialect.FormJetsend, Punch: (*route.Punch)(c.Dialect.Sealed().Punch),
		}, paths, offered.Transport)
		if errors.Is(err, fault.ErrNoTransport) {
			return fault.Refuse(err, jingle.Reason{Condition: jingle.UnsupportedTransports})
		}
		if err != nil {
			return err
		}
		c.Route, c.Remote = r, offered.Transport
		accepted := jingle.Content{
			Creator: offered.Creator, Name: offered.Name, Senders: offered.Senders, Description: offered.Description, Transport: r.Element(),
		}
		if err := c.Dialect.Accept(&accepted, s, dialect.Answer{Prefix: prefix, Device: device, Punch: (*profile.Punch)(r.Punch())}); err != nil {
			return err
		}
		c.ReportAccepted(s.Offset)
		accepting()
		c.Route.Ahead()
		return c.Session.Accept(ctx, accepted)
	})
}

func deviceInfos(devices []omemo.Device) []event.DeviceInfo {
	out := make([]event.DeviceInfo, 0, len(devices))
	for _, d := range devices {
		out = append(out, DeviceInfo(d))
	}
	return out
}

// DeviceInfo is a device as events have it.
func DeviceInfo(d omemo.Device) event.DeviceInfo {
	return event.DeviceInfo{ID: d.ID, Fingerprint: d.Fingerprint, Trust: d.Trust.String(), New: d.New}
}
