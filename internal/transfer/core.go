package transfer

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/crypto"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
	"jetsend/internal/upkeep"
)

// core is what the transfers of an endpoint stand on: its account and device, its state,
// and where events go. It knows no transfer.
type core struct {
	cfg    Config
	timing timing // fixed by Connect
	log    *slog.Logger
	db     *sql.DB
	// resource is the one of the receiver of this state directory.
	resource string

	sess    Account
	omemo   *omemo.Account
	jingle  *jingle.Manager
	ibb     *ibb.Manager
	journal *journal.Journal

	announced atomic.Bool               // the first login is done
	back      atomic.Pointer[time.Time] // of the latest login after the first
	upkeep    *upkeep.Upkeep
	sending   stream.Rate
	receiving stream.Rate
	routes    *route.Finder
	tasks     sync.WaitGroup
}

// unreachable is the loss of the server as the end of a run. One that takes us in
// no more, when it was to be logged in to again, has refused a login like any other.
// A receiver's resource belongs to its state: who has taken it has a copy of that,
// and to come back would only take it from them in turn.
func (e *core) unreachable() *fault.Failure {
	err := e.sess.Err()
	if err == nil {
		err = fault.ErrStreamLost
	}
	f := &fault.Failure{Code: exitcode.Unreachable, Reason: err.Error(), Err: err}
	var (
		auth   *session.AuthError
		stream *session.StreamError
	)
	switch {
	case errors.As(err, &auth):
		f.Code = exitcode.Login
	case e.cfg.Receiver && errors.As(err, &stream) && stream.Condition == stanza.Conflict:
		f.Code = exitcode.Config
		f.Hints = []string{"another `jetsend receive` seems to run with a copy of the state directory " + e.cfg.StateDir +
			": end one, and give it a directory of its own with --state-dir"}
	}
	return f
}

// advertise says by which transports a receiver can be reached from now on.
func (e *core) advertise(ctx context.Context, route route.Options) error {
	if !e.cfg.Receiver {
		return nil
	}
	return e.sess.SetFeatures(ctx, features(true, route))
}

// sessionLimit is how many bytes of a file one session carries at most: what one
// secret may encrypt.
func (e *core) sessionLimit() int64 {
	if e.cfg.SessionLimit > 0 {
		return min(e.cfg.SessionLimit, crypto.MaxPlaintext)
	}
	return crypto.MaxPlaintext
}

// limitRate is the rate of both directions, each for itself.
func (e *core) limitRate(bytesPerSecond int64) {
	e.sending.Set(bytesPerSecond)
	e.receiving.Set(bytesPerSecond)
}

// newFinder makes the finder of the endpoint, whose account exists.
func (e *core) newFinder() *route.Finder {
	return route.NewFinder(route.Config{Account: e.sess, Inband: e.ibb, S5B: &e.cfg.S5B, BlockSize: e.cfg.IBBBlockSize, Quick: e.cfg.Quick, Log: e.log})
}

// verifiedContacts are those with a key that the user verified.
func (e *core) verifiedContacts(ctx context.Context) (map[jid.JID]bool, error) {
	devices, err := e.omemo.AllDevices(ctx)
	if err != nil {
		return nil, err
	}
	out := map[jid.JID]bool{}
	for _, d := range devices {
		if d.Trust == omemo.Verified {
			out[d.JID.Bare()] = true
		}
	}
	return out, nil
}

// isContact tells whether the contact may see us online; our own account may.
func (e *core) isContact(bare jid.JID) bool {
	if bare == e.sess.JID().Bare() {
		return true
	}
	return session.SeesUs(e.sess.Subscription(bare))
}

// features are what we advertise. Only a receiver advertises file transfer, nobody
// shall offer a file to a `send`, and of the transports those that it allows.
func features(receiver bool, route route.Options) []string {
	f := []string{
		"http://jabber.org/protocol/disco#info",
		"http://jabber.org/protocol/caps",
		"urn:xmpp:ping",
		omemo.NodeDevices + "+notify",
	}
	if receiver {
		for _, t := range contact.Transports() {
			if slices.Contains(route.Order(), t.Name) {
				f = append(f, t.Feature)
			}
		}
		f = append(f, jingle.NS, jingle.NSFile, jingle.NSJET, contact.NSJETOMEMO,
			jingle.NSEncryptedFile, "urn:xmpp:hashes:2", "urn:xmpp:hash-function-text-names:sha-256", profile.NS)
	}
	return f
}

// rowKey is the row of a transfer in the journal.
func rowKey(h event.Head) journal.Key {
	return journal.Key{ID: h.Transfer, Direction: journal.Direction(h.Direction)}
}
