// Package transfer carries files from one account to another. A transfer is an actor
// (actor.go, with the rules of who owns what): its opener brings about the sessions, its
// end (upload, download) agrees on what each carries, moves it and confirms it. A run of
// Receive admits what contacts offer and ask for, and keeps what was interrupted.
//
// An [Endpoint] is an account online. Its Send and Receive run until their
// work is done; what happens on the way is told by events (package event), and what an
// error means stands in package fault.
package transfer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/contact"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/journal"
	"jetsend/internal/login"
	"jetsend/internal/omemo"
	"jetsend/internal/outset"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
	"jetsend/internal/upkeep"
)

// closeTime bounds the clean end of an endpoint.
const closeTime = 5 * time.Second

// Endpoint is an account online with its OMEMO device.
type Endpoint struct {
	core
	lock     *state.Lock // of the one receiver; nil otherwise
	receiver atomic.Pointer[receiver]
	stop     context.CancelFunc
}

// Connect logs in and announces the OMEMO device. ctx bounds the login only.
func Connect(ctx context.Context, cfg Config) (*Endpoint, error) {
	e := &Endpoint{core: core{common: &common{}, cfg: cfg, log: cfg.Log, timing: timingOf(cfg.Quick)}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.cfg.Report == nil {
		e.cfg.Report = func(event.Event) {}
	}
	if e.cfg.Account == nil {
		e.cfg.Account = func(c session.Config) Account { return session.New(c) }
	}
	e.report(e.cfg.Report)
	if err := s5b.CheckProxies(e.cfg.S5B.Proxies); err != nil {
		return nil, &fault.Failure{Code: exitcode.Config, Reason: "transports.s5b.proxies", Err: err}
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.closeState())
	}
	e.assemble()
	if e.cfg.Prepare != nil {
		if err := e.cfg.Prepare(e); err != nil {
			return nil, errors.Join(err, e.closeState())
		}
	}
	run, stop := context.WithCancel(context.Background()) // ends with the endpoint
	e.stop = stop
	e.upkeep.Begin(run)
	if err := e.login(ctx); err != nil {
		return nil, errors.Join(err, e.Close(context.Background()))
	}
	e.routes.Start()
	return e, nil
}

// LockReceiver takes the lock of the one receiver of an account in a state directory.
// When another process holds it, hint is what to do about that.
func LockReceiver(stateDir string, account jid.JID, hint string) (*state.Lock, error) {
	lock, err := state.LockFile(state.Path(stateDir, account.Bare()) + ".receive.lock")
	switch {
	case errors.Is(err, state.ErrLocked):
		return nil, &fault.Failure{Code: exitcode.Config, Reason: "another `jetsend receive` uses the state directory " + stateDir, Hints: []string{hint}}
	case err != nil:
		return nil, &fault.Failure{Code: exitcode.Config, Reason: "state directory", Err: err}
	}
	return lock, nil
}

// open takes the lock of the one receiver and opens the state.
func (e *Endpoint) open(ctx context.Context) (err error) {
	self := e.cfg.Session.JID.Bare()
	path := state.Path(e.cfg.StateDir, self)
	if e.cfg.Receiver {
		e.lock, err = LockReceiver(e.cfg.StateDir, self, "end the other one, or give this one a directory of its own with --state-dir")
		if err != nil {
			return err
		}
	}
	if e.db, err = state.Open(ctx, path); err != nil {
		return &fault.Failure{Code: exitcode.Config, Reason: "state", Err: err}
	}
	if e.journal, err = journal.Open(ctx, e.db, time.Now); err != nil {
		return &fault.Failure{Code: exitcode.Config, Reason: "state", Err: err}
	}
	e.opener().Sources.Sweep(ctx, e.journal)
	if err := outset.SweepSent(ctx, e.sentDir(), e.journal); err != nil {
		e.log.Warn("sweep", "error", err)
	}
	if e.resource, err = login.Prepare(ctx, e.db, e.cfg.Receiver, &e.cfg.Session); err != nil {
		return &fault.Failure{Code: exitcode.Config, Reason: "state", Err: err}
	}
	e.omemo, err = omemo.Open(ctx, e.db, self, omemo.Config{
		Log: e.log, Trust: e.cfg.Trust, ManyDevices: e.cfg.ManyDevices,
		NewDevices: func(jid.JID, []omemo.Device) { e.upkeep.Newcomer() },
	})
	return err
}

// assemble makes the session and hangs the protocols into it.
func (e *Endpoint) assemble() {
	c := e.cfg.Session
	c.Log = e.log
	c.Reconnect, c.Quick, c.State = true, e.cfg.Quick, e.connection
	c.Hidden = e.cfg.Receiver // until Receive is ready for offers
	c.Features = contact.Features(e.cfg.Receiver, !e.cfg.NoSets, route.Options{Transports: e.cfg.Transports}.Order())
	if e.cfg.Receiver { // the others' resource is one that nobody knows
		c.Visible = e.visible
	}
	c.Priority = e.cfg.Priority
	if e.cfg.Gather != nil {
		c.Dialled = func() { e.routes.Prepare(*e.cfg.Gather) }
	}
	e.sess = e.cfg.Account(c)
	e.jingle = jingle.NewManager(jingle.Config{Port: e.sess, Begin: e.sess.BeginIQ, Self: e.sess.JID, Admit: e.admit, Log: e.log})
	e.ibb = ibb.NewManager(ibb.Config{Port: e.sess, Admit: e.admitInband, Log: e.log})
	e.routes = e.newFinder()
	e.sess.HandleIQ(jingle.NS, e.jingle.HandleIQ)
	e.sess.HandleIQAsync(ibb.NS, e.ibb.HandleIQ)
	e.upkeep = upkeep.New(e.sess, e.omemo, e.log)
	e.sess.HandlePEP(omemo.NodeDevices, e.upkeep.HandleList)
	if e.cfg.Receiver {
		e.sess.HandleMessage(omemo.NS, "encrypted", e.upkeep.HandleEncrypted)
	}
}

// connection is told of every change of the stream to the server. It must not
// block.
func (e *Endpoint) connection(s session.State) {
	if e.cfg.Connection != nil {
		e.cfg.Connection(s)
	}
	switch {
	case s.Err != nil:
		e.upkeep.Chore("tell of the lost connection", func(context.Context) error {
			e.cfg.Report(event.Warning{Text: fmt.Sprintf("connection to the server: %s; next try in %s", clean.Error(s.Err), s.RetryIn.Round(100*time.Millisecond))})
			return nil
		})
	case e.announced.Load():
		e.upkeep.Chore("tell of being back", func(context.Context) error {
			if s.Unacked > 0 {
				e.cfg.Report(event.Warning{Text: fmt.Sprintf("the connection to the server took %d stanzas with it that may not have arrived", s.Unacked)})
			}
			e.cfg.Report(event.Online{JID: e.sess.JID().String()})
			return nil
		})
		if s.Fresh { // otherwise it was resumed, and nobody has missed anything
			now := time.Now()
			e.back.Store(&now)
			e.upkeep.Online()
			e.routes.SearchAgain()
		}
	}
}

func (e *Endpoint) login(ctx context.Context) error {
	if err := e.sess.Start(ctx); err != nil {
		return err
	}
	if err := login.Remember(ctx, e.db, e.sess.Mechanism(), e.sess.Careful(), &e.cfg.Session); err != nil {
		return err
	}
	announce := func(ctx context.Context) error { return e.omemo.Announce(ctx, e.sess) }
	need, err := e.omemo.NeedsAnnounce(ctx)
	if err == nil && !need && (e.cfg.Receiver || e.cfg.Gather != nil) { // whether the server still has it is looked at beside
		e.upkeep.Chore("announce our omemo device", announce)
	} else if err = errors.Join(err, announce(ctx)); err != nil {
		return fmt.Errorf("announce our omemo device: %w", err)
	}
	e.announced.Store(true)
	return nil
}

// Hold keeps all bytes from moving and, in a run of Receive, everything from beginning that
// would move some, until it is called with false.
func (e *Endpoint) Hold(on bool) {
	e.sending.Hold(on)
	e.receiving.Hold(on)
	if r := e.receiver.Load(); r != nil {
		r.places.Hold(on)
		r.look()
	}
}

// OMEMO is the device of this state directory.
func (e *Endpoint) OMEMO() *omemo.Account { return e.omemo }

// State is the state file of the account, which is open as long as the endpoint.
func (e *Endpoint) State() *sql.DB { return e.db }

// JID is our full JID.
func (e *Endpoint) JID() jid.JID { return e.sess.JID() }

// Close ends what is left, logs out and releases the state. It takes a few
// seconds at most.
func (e *Endpoint) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	e.jingle.Close(ctx)
	e.ibb.Close()
	err := e.sess.Close(ctx)
	e.stop()
	e.upkeep.Close()
	e.routes.Close()
	e.tasks.Wait()
	return errors.Join(err, e.closeState())
}

func (e *Endpoint) closeState() (err error) {
	if e.db != nil {
		err = e.db.Close()
	}
	if e.lock != nil {
		err = errors.Join(err, e.lock.Release())
	}
	return err
}

// admit is called on the stream's dispatcher. A stranger learns no more than
// from somebody who is offline. An offer that is admitted is taken under the same terms.
func (e *Endpoint) admit(from jid.JID, offer *jingle.Content) (take func(*jingle.Session), refused *stanza.Error) {
	r := e.receiver.Load()
	if r == nil {
		return nil, stanza.NewError(stanza.ServiceUnavailable)
	}
	t := r.terms()
	switch {
	case offer == nil && t.rules().Known(from.Bare()):
		return nil, nil // the manager's own answer tells them what is wrong
	case offer != nil && (r.admits(t, from) || offer.Senders == jingle.SenderResponder && r.serves(from)):
		return func(s *jingle.Session) { r.start(s, t) }, nil
	}
	if offer != nil && offer.Senders != jingle.SenderResponder {
		r.turnedAway(t, from)
	}
	return nil, stanza.NewError(stanza.ServiceUnavailable)
}

// visible reports whether somebody may learn that we are online: who may offer files,
// who sees our presence, and their servers. It is called on the stream's dispatcher.
func (e *Endpoint) visible(from jid.JID) bool {
	r, bare := e.receiver.Load(), from.Bare()
	switch {
	case e.people().IsContact(bare):
		return true
	case from.Local() == "":
		return from.Domain() == e.sess.JID().Domain() || e.sess.ContactAt(from.Domain())
	case r == nil:
		return false
	}
	rules := r.terms().rules()
	return rules.Admits(from) || rules.AdmitsStranger(bare)
}

// admitInband is asked about in-band streams that nobody expects.
func (e *Endpoint) admitInband(from jid.JID) *stanza.Error {
	_, refused := e.admit(from, nil)
	return refused
}

// Session is the account online; nil where [Config].Account has made another one.
func (e *Endpoint) Session() *session.Session {
	s, _ := e.sess.(*session.Session)
	return s
}
