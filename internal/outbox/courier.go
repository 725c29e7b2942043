package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
)

const (
	// pollTime is how often the table is looked at for what is new, or cancelled.
	pollTime = time.Second
	// heldTime is how long at most nobody looks whether the user has decided about a key, and
	// heldPause how long at least, when something in the state has changed.
	heldTime, heldPause = 5 * time.Minute, 3 * time.Second
	// AtOnce is to how many contacts a courier sends at the same time.
	AtOnce = 4
	// minPause and maxPause are those between two attempts that came to nothing.
	minPause, maxPause = 2 * time.Second, 5 * time.Minute
)

// sending is why an entry waits that somebody is sending.
const sending = "is being sent"

var (
	// ErrCancelled is the cause of the end of a send whose entry was cancelled.
	ErrCancelled = fmt.Errorf("cancelled: %w", fault.ErrInterrupted)
	// ErrLate is the end of an entry whose time is over.
	ErrLate = errors.New("it was not sent in time")
	errBusy = error(&fault.Failure{Code: exitcode.Interrupted, Reason: "the rest is being sent"})
)

// Port is the account online, as far as a courier needs it. Errors have exit codes, by Code.
type Port interface {
	// Reach waits until the contact of an entry can be sent to, but no longer than that.
	Reach(ctx context.Context, e *Entry, wait time.Duration) error
	// Keys fails when a key of the contact is another one than it was.
	Keys(ctx context.Context, of jid.JID) error
	// Send sends an entry, as the transfer with that id, and returns when it has ended.
	Send(ctx context.Context, e *Entry, id string) error
	// Forget forgets that transfer, as a user does who has given it up.
	Forget(ctx context.Context, id string) error
	// Standing says how that transfer stands; all false: there is none, or it can be gone on with.
	Standing(ctx context.Context, id string) (Standing, error)
	// Code is the exit code and the text of an error of that transfer.
	Code(ctx context.Context, id string, err error) (exitcode.Code, string)
	// Tell tells the user how an entry ended of which there was no transfer, or why it is held.
	Tell(e *Entry, code exitcode.Code, why string)
}

// Standing is how a transfer stands.
type Standing struct {
	Live    bool // somebody is at it
	Arrived bool // there is a receipt
	Over    bool // it has ended without one
}

// Courier brings the entries of a box to their contacts. One process at a time has one.
type Courier struct {
	Box  *Box
	Port Port
	Log  *slog.Logger
	// Changed is called with the entries that have not ended, in order, after each look. May be nil.
	Changed func([]Entry)

	mu      sync.Mutex
	running map[string]context.CancelCauseFunc // the entries that somebody is at
	slots   chan struct{}

	watching sync.Mutex
	watch    *sql.Conn
}

// Run delivers until ctx ends, and returns when all that was begun has been left as it is in the
// journal.
func (c *Courier) Run(ctx context.Context) {
	c.init()
	workers := map[jid.JID]chan struct{}{} // closed when the worker of a contact has ended
	var tasks sync.WaitGroup
	defer c.unwatch()
	defer tasks.Wait()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	swept := time.Time{}
	for {
		if now := c.Box.now(); now.Sub(swept) > time.Hour {
			swept = now
			c.warn(c.Box.Sweep(ctx))
		}
		at := c.atWork() // before the table is read: what is begun meanwhile is not missing in it
		open, err := c.Box.Open(ctx)
		if c.warn(err); err == nil {
			open, _ = c.expire(ctx, open)
			c.look(open, at)
			for i := range open {
				peer := open[i].Peer
				if w := workers[peer]; w != nil && !closed(w) {
					continue
				}
				done := make(chan struct{})
				workers[peer] = done
				tasks.Go(func() {
					defer close(done)
					c.serve(ctx, peer)
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Courier) init() {
	c.running, c.slots = map[string]context.CancelCauseFunc{}, make(chan struct{}, AtOnce)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *Courier) warn(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		c.Log.Warn("outbox", "error", err)
	}
}

// atWork are the entries that somebody is at.
func (c *Courier) atWork() map[string]context.CancelCauseFunc {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.running)
}

// look tells of the open entries, and ends the sends, among those at work, that are not open any more.
func (c *Courier) look(open []Entry, at map[string]context.CancelCauseFunc) {
	if c.Changed != nil {
		c.Changed(open)
	}
	for i := range open {
		delete(at, open[i].ID)
	}
	for _, cancel := range at {
		cancel(ErrCancelled)
	}
}

// expire gives up the entries whose time is over and that nobody is at, wherever in their order they
// are. It returns the others, and whether there was any.
func (c *Courier) expire(ctx context.Context, open []Entry) (left []Entry, any bool) {
	at, now := c.atWork(), c.Box.now()
	for i := range open {
		e := &open[i]
		if at[e.ID] != nil || now.Before(e.Until) {
			left = append(left, *e)
			continue
		}
		any = true
		if is, err := c.Port.Standing(ctx, e.Transfer()); err == nil && is.Arrived {
			_ = c.end(ctx, e, exitcode.OK, "") // which has been logged
			continue
		}
		c.giveUp(ctx, e, exitcode.Offline, late(e).Error())
	}
	return left, any
}

// giveUp ends an entry that is not sent, and at both ends what has been begun of it.
func (c *Courier) giveUp(ctx context.Context, e *Entry, code exitcode.Code, why string) {
	ended, err := c.Box.End(ctx, e, int(code), why)
	if c.warn(err); ended {
		c.warn(c.Port.Forget(ctx, e.Transfer()))
		c.Port.Tell(e, code, why)
	}
}

// first is the entry that is next for a contact, nil when there is none.
func (c *Courier) first(ctx context.Context, peer jid.JID) (*Entry, error) {
	open, err := c.Box.Open(ctx)
	for i := range open {
		if open[i].Peer == peer {
			return &open[i], nil
		}
	}
	return nil, err
}

// serve sends the entries of a contact, until there is none or ctx ends.
func (c *Courier) serve(ctx context.Context, peer jid.JID) {
	pause := minPause
	for ctx.Err() == nil {
		e, err := c.first(ctx, peer)
		c.warn(err)
		if e == nil {
			return
		}
		code, ended := c.attempt(ctx, e, e.Until)
		switch {
		case ended:
			pause = minPause
			continue
		case code == exitcode.Untrusted:
			c.hold(ctx, e)
		default:
			c.sleep(ctx, e, pause)
			pause = min(2*pause, maxPause)
		}
	}
}

// sleep waits before the next attempt, but not for an entry that is cancelled meanwhile, nor
// longer than until its time is over.
func (c *Courier) sleep(ctx context.Context, e *Entry, pause time.Duration) {
	ctx, done := c.enter(ctx, e)
	defer done()
	_ = backoff.Wait(ctx, min(pause, e.Until.Sub(c.Box.now()))) // whoever sleeps looks again
}

// version is that of the state, by one connection for all who wait: there are few of them.
func (c *Courier) version(ctx context.Context) (n int64, err error) {
	c.watching.Lock()
	defer c.watching.Unlock()
	if c.watch == nil {
		if c.watch, err = c.Box.db.Conn(ctx); err != nil {
			return 0, err
		}
	}
	return c.Box.Version(ctx, c.watch)
}

// unwatch gives the connection back.
func (c *Courier) unwatch() {
	if c.watch != nil {
		_ = c.watch.Close() // it goes back to the pool
		c.watch = nil
	}
}

// hold waits until something in the state has changed, which may be what is known of a key.
func (c *Courier) hold(ctx context.Context, e *Entry) {
	was, err := c.version(ctx)
	c.warn(err)
	for begun := c.Box.now(); ctx.Err() == nil && c.Box.now().Sub(begun) < heldTime && c.Box.now().Before(e.Until); {
		c.sleep(ctx, e, heldPause)
		now, err := c.version(ctx)
		if c.warn(err); err != nil || now != was {
			return
		}
		if is, err := c.Box.Find(ctx, e.ID); err != nil || is.State == Ended {
			return
		}
	}
}

// enter has an entry cancelled with the context that it returns.
func (c *Courier) enter(ctx context.Context, e *Entry) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	c.running[e.ID] = cancel
	c.mu.Unlock()
	return ctx, func() {
		c.mu.Lock()
		delete(c.running, e.ID)
		c.mu.Unlock()
		cancel(nil)
	}
}

// attempt tries to bring an entry to its contact, who has to be there by some time.
func (c *Courier) attempt(run context.Context, e *Entry, by time.Time) (code exitcode.Code, ended bool) {
	ctx, done := c.enter(run, e)
	defer done()
	err := c.deliver(ctx, e, by)
	cancelled := errors.Is(context.Cause(ctx), ErrCancelled)
	code, why := exitcode.OK, ""
	if err != nil {
		code, why = c.Port.Code(ctx, e.Transfer(), err)
	}
	var told *toldError
	switch {
	case cancelled:
		c.warn(c.Port.Forget(run, e.Transfer()))
		return exitcode.Cancelled, true
	case err == nil, errors.As(err, &told):
		if told != nil {
			c.giveUp(run, e, told.code, told.Error())
			return told.code, true
		}
		return code, c.end(context.WithoutCancel(run), e, code, why)
	case run.Err() != nil: // it goes on with the next run
		return code, false
	case code == exitcode.Untrusted:
		if e.State != Held || e.Why != why {
			c.Port.Tell(e, code, why)
		}
		c.again(run, e)
		c.warn(c.Box.Hold(run, e, why, int(code)))
		return code, false
	case transient(code):
		c.again(run, e)
		c.warn(c.Box.Wait(run, e, why))
		return code, false
	}
	return code, c.end(run, e, code, why)
}

// end reports whether the end of an entry could be noted.
func (c *Courier) end(ctx context.Context, e *Entry, code exitcode.Code, why string) bool {
	_, err := c.Box.End(ctx, e, int(code), why)
	c.warn(err)
	return err == nil
}

// again sees to it that the next attempt is not about a transfer that has ended.
func (c *Courier) again(ctx context.Context, e *Entry) {
	is, err := c.Port.Standing(ctx, e.Transfer())
	if err == nil && is.Over {
		err = c.Box.Again(ctx, e)
	}
	c.warn(err)
}

// transient reports whether what ended so may end otherwise at another time.
func transient(code exitcode.Code) bool {
	switch code {
	case exitcode.Unreachable, exitcode.Offline, exitcode.Incapable, exitcode.Interrupted:
		return true
	}
	return false
}

// toldError is the end of an entry for which there is no transfer to tell of.
type toldError struct {
	error
	code exitcode.Code
}

// deliver waits for the contact, and sends.
func (c *Courier) deliver(ctx context.Context, e *Entry, by time.Time) error {
	if is, err := c.Port.Standing(ctx, e.Transfer()); err != nil || is.Arrived {
		return err // whoever had sent it died before that was noted
	}
	if !c.Box.now().Before(e.Until) {
		return &toldError{late(e), exitcode.Offline}
	}
	if e.State != Held && (e.Why == "" || e.Why == sending) { // of before
		c.warn(c.Box.Wait(ctx, e, "waits for the contact"))
	}
	err := c.Port.Reach(ctx, e, max(by.Sub(c.Box.now()), 0))
	if err != nil {
		if ctx.Err() == nil && !c.Box.now().Before(e.Until) {
			return &toldError{late(e), exitcode.Offline}
		}
		return err
	}
	if err := c.Port.Keys(ctx, e.Peer); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := c.begin(ctx, e); err != nil {
		return err
	}
	if is, err := c.Port.Standing(ctx, e.Transfer()); err != nil || is.Live {
		return cmp.Or(err, errBusy) // the contact may have asked for the rest
	}
	return c.Port.Send(ctx, e, e.Transfer())
}

// begin notes what is sent now.
func (c *Courier) begin(ctx context.Context, e *Entry) error {
	stamp, _, err := StampOf(e.Files)
	if err != nil {
		return &toldError{fmt.Errorf("file to send: %w", err), exitcode.LocalFile}
	}
	if e.Changed == FailChanged && string(stamp) != string(e.Stamp) {
		return &toldError{errors.New("it has changed since it was queued"), exitcode.LocalFile}
	}
	if len(e.Files) != 1 || isDir(e.Files[0].Path) {
		stamp = []byte{} // a set goes on whatever has changed in it
	}
	return errors.Join(c.Box.Begin(ctx, e, stamp), c.Box.Wait(ctx, e, sending))
}

func late(e *Entry) error {
	if e.Why == "" || e.State == Held {
		return ErrLate
	}
	return fmt.Errorf("%w: %s", ErrLate, e.Why)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Once delivers what can be delivered now: each contact may take so long to be there. It
// returns how it went, the codes of all combined; of what waits on, that is why.
func (c *Courier) Once(ctx context.Context, wait time.Duration) (exitcode.Code, error) {
	c.init()
	if err := c.Box.Sweep(ctx); err != nil {
		return exitcode.OK, err
	}
	open, err := c.Box.Open(ctx)
	if err != nil {
		return exitcode.OK, err
	}
	var all []exitcode.Code
	open, over := c.expire(ctx, open)
	if over {
		all = append(all, exitcode.Offline)
	}
	var tasks sync.WaitGroup
	codes := map[jid.JID]*exitcode.Code{}
	for i := range open {
		peer := open[i].Peer
		if codes[peer] != nil {
			continue
		}
		code := new(exitcode.Code)
		codes[peer] = code
		tasks.Go(func() { *code = c.serveOnce(ctx, peer, wait) })
	}
	tasks.Wait()
	for _, code := range codes {
		all = append(all, *code)
	}
	return exitcode.Combine(all...), nil
}

// serveOnce sends the entries of a contact, up to the first that has to wait.
func (c *Courier) serveOnce(ctx context.Context, peer jid.JID, wait time.Duration) (all exitcode.Code) {
	for ctx.Err() == nil {
		e, err := c.first(ctx, peer)
		if c.warn(err); e == nil {
			break
		}
		code, ended := c.attempt(ctx, e, c.Box.now().Add(wait))
		if all = exitcode.Combine(all, code); !ended {
			break
		}
	}
	return all
}
