package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"jetsend/internal/backoff"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exclude"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/outbox"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

// queueFlags are those of `send` that write it down for later.
type queueFlags struct {
	queue, copy bool
	until       duration
	changed     choice
}

// queueTime is how long a queued transfer may take to begin, unless the user says.
const queueTime = 7 * 24 * time.Hour

func (f *queueFlags) flags(cmd *cobra.Command) {
	f.until, f.changed = duration(queueTime), choice{value: string(outbox.SendChanged), words: []string{string(outbox.SendChanged), string(outbox.FailChanged)}}
	cmd.Flags().BoolVar(&f.queue, "queue", false, "write it down and return; a running `receive`, or `deliver`, sends it when the contact is online")
	cmd.Flags().BoolVar(&f.copy, "copy", false, "with --queue: send a private copy, which is made now")
	cmd.Flags().Var(&f.until, "until", "with --queue: give up when it has not been sent after so long")
	cmd.Flags().Var(&f.changed, "changed", "with --queue: what to do about files that are changed before they are sent: send, fail")
}

// check refuses what goes with --queue only, and what does not go with it.
func (f *queueFlags) check(cmd *cobra.Command) error {
	set := cmd.Flags().Changed
	if !f.queue {
		for _, name := range []string{"copy", "until", "changed"} {
			if set(name) {
				return usagef("--%s is for what is queued", name).hint("add --queue")
			}
		}
		return nil
	}
	for _, name := range []string{insecureFlag, "dry-run", "wait", "limit-rate", "on-complete", "no-resume"} {
		if set(name) {
			return usagef("--queue and --%s do not go together", name).hint("leave one of them out")
		}
	}
	if f.copy && f.changed.value == string(outbox.FailChanged) {
		return usagef("a copy does not change: --copy and --changed=fail do not go together").hint("leave one of them out")
	}
	return nil
}

// queuedRecord is what `send --queue` says.
type queuedRecord struct {
	Transfer   string `json:"transfer"`
	Peer       string `json:"peer"`
	Name       string `json:"name"`
	Size       int64  `json:"size"`
	Until      string `json:"until"`
	Delivering bool   `json:"delivering"` // a receive is running that will send it
}

// Kind implements record.
func (queuedRecord) Kind() string { return "queued" }

// Columns implements record.
func (r queuedRecord) Columns() []string { return []string{r.Transfer, clean.Text(r.Peer), r.Name} }

// inOutbox opens the outbox of the account for do.
func (a *app) inOutbox(ctx context.Context, c *config.Config, do func(*outbox.Box) error) (err error) {
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	box, done, err := a.openOutbox(ctx, dir, account)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return do(box)
}

// withOutbox is inOutbox with the journal of the account.
func (a *app) withOutbox(ctx context.Context, c *config.Config, do func(*outbox.Box, transfers) error) error {
	return a.inOutbox(ctx, c, func(box *outbox.Box) error {
		return a.withTransfers(ctx, c, func(t transfers) error { return do(box, t) })
	})
}

// openOutbox opens the outbox of an account.
func (a *app) openOutbox(ctx context.Context, dir string, account *config.Chosen) (_ *outbox.Box, done func() error, err error) {
	db, err := state.Open(ctx, state.Path(dir, account.Addr))
	if err != nil {
		return nil, nil, &config.Error{Msg: "open the state", Err: err}
	}
	box, err := outbox.Open(ctx, db, outbox.Dir(dir, account.Addr), a.now)
	if err != nil {
		return nil, nil, errors.Join(&config.Error{Msg: "open the outbox", Err: err}, db.Close())
	}
	return box, db.Close, nil
}

// courierSuffix ends the name of the lock of who delivers.
const courierSuffix = ".outbox.lock"

// Who only looks whether somebody delivers has the lock for a moment: nobody is to take that for a
// process that delivers.
const (
	lookTries = 3
	lookPause = 20 * time.Millisecond
)

// courierLock is held by the process that delivers the outbox of an account.
func courierLock(dir string, account *config.Chosen) (l *state.Lock, err error) {
	for i := range lookTries {
		if i > 0 {
			time.Sleep(lookPause)
		}
		if l, err = state.LockFile(state.Path(dir, account.Addr) + courierSuffix); !errors.Is(err, state.ErrLocked) {
			break
		}
	}
	return l, err
}

// delivering reports whether some process delivers what is queued.
func delivering(dir string, account *config.Chosen) bool {
	l, err := courierLock(dir, account)
	if err != nil {
		return errors.Is(err, state.ErrLocked)
	}
	_ = l.Release() // it ends with us at the latest
	return false
}

// enqueue writes a send down for each contact.
func (a *app) enqueue(cmd *cobra.Command, c *config.Config, to []target, whom []string, o transfer.SendOptions, f *queueFlags) error {
	ctx := cmd.Context()
	for i := range to {
		if to[i].jid.IsZero() {
			_, err := resolveContact(c, to[i].name) // which says what can be done
			return err
		}
	}
	if err := a.settled(to, whom); err != nil {
		return err
	}
	// What the user said for this send alone is in the options.
	options, err := json.Marshal(c.Send)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	account, dir, err := a.place(c)
	if err != nil {
		return err
	}
	served := delivering(dir, account)
	err = a.inOutbox(ctx, c, func(box *outbox.Box) error {
		var rows []record
		defer func() { a.print.Rows(rows) }() // also of those before one that could not be queued
		var first *outbox.Entry
		for _, t := range to {
			e := &outbox.Entry{ID: uuid.NewString(), Peer: t.jid, Options: options, Changed: outbox.Changed(f.changed.value), Until: a.now().Add(time.Duration(f.until))}
			if err := put(ctx, box, e, first, o, f.copy); err != nil {
				return err
			}
			first = e
			rows = append(rows, queuedRecord{e.ID, e.Peer.String(), e.Name, e.Size, stamp(e.Until), served})
		}
		return nil
	})
	if err == nil && !served {
		a.print.Note("no receive of the account is running, which would send it: run `%s`, or `%s` from time to time", a.again("receive"), a.again("deliver"))
	}
	return err
}

// full is what the user is told when too much waits.
func full(err error) error {
	if errors.Is(err, outbox.ErrFull) {
		return &fault.Failure{Code: exitcode.LocalFile, Reason: outbox.ErrFull.Error(), Hints: []string{"see `jetsend transfers --state queued`"}}
	}
	return err
}

// put writes an entry down with its files, or a copy of them. first is the one before it, if any: it
// has what an input gave.
func put(ctx context.Context, box *outbox.Box, e, first *outbox.Entry, o transfer.SendOptions, copied bool) (err error) {
	if n := o.Files[0]; n.Input != nil && first == nil {
		err = take(ctx, box, e, o)
		copied = false
	} else if n.Input != nil {
		e.Files, copied = []outbox.File{{Path: first.Files[0].Path, Name: first.Files[0].Name}}, true
	} else {
		e.Files, err = named(o.Files)
	}
	if err == nil && copied {
		err = copyFailed(box.Copy(e))
	}
	if err == nil {
		err = describe(e)
	}
	if err == nil {
		err = full(box.Put(ctx, e))
	}
	if err != nil {
		return errors.Join(err, box.Discard(e))
	}
	return nil
}

// named are the files that are named, as an entry has them.
func named(all []source.Named) (files []outbox.File, err error) {
	for _, n := range all {
		if n.Input != nil {
			return nil, usagef("with --queue standard input goes alone").hint("queue the files by another command")
		}
		abs, err := filepath.Abs(n.Path)
		if err != nil {
			return nil, err
		}
		files = append(files, outbox.File{Path: abs, Name: n.Name, Exclude: lines(n.Exclude)})
	}
	return files, nil
}

// describe notes what the files of an entry are.
func describe(e *outbox.Entry) (err error) {
	if e.Stamp, e.Size, err = outbox.StampOf(e.Files); err != nil {
		return &fault.Failure{Code: exitcode.LocalFile, Reason: "nothing was queued", Err: err}
	}
	e.Name = clean.Text(cmp.Or(e.Files[0].Name, filepath.Base(e.Files[0].Path)))
	if more := len(e.Files) - 1; more > 0 {
		e.Name = fmt.Sprintf("%s and %d more", e.Name, more)
	}
	return nil
}

// take has an entry send what is read from an input.
func take(ctx context.Context, box *outbox.Box, e *outbox.Entry, o transfer.SendOptions) error {
	if len(o.Files) > 1 {
		_, err := named(o.Files)
		return err
	}
	size, err := box.Take(ctx, e, o.Files[0].Input, cmp.Or(o.Files[0].Name, inputName), o.MaxSpool)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil && size == 0 && !o.AllowEmpty:
		err = source.ErrEmptyInput
	}
	return copyFailed(err)
}

// inputName is what standard input is called, unless the user says.
const inputName = "stdin"

func copyFailed(err error) error {
	if err == nil {
		return nil
	}
	return &fault.Failure{Code: exitcode.LocalFile, Reason: "nothing was queued", Err: err, Hints: source.Hints(err)}
}

// lines are the patterns of a list.
func lines(l *exclude.List) []string {
	if l == nil || l.String() == "" {
		return nil
	}
	return []string{l.String()}
}

// endings are the reasons why transfers have failed, as the events told them.
type endings struct {
	mu      sync.Mutex
	reasons map[string]string // by the ids of transfers and sets
}

// maxEndings bounds what nobody asks for: the ends of what a contact has asked for.
const maxEndings = 1000

// saw takes note of how a transfer of ours has failed.
func (n *endings) saw(e event.Event) {
	f, ok := e.(event.Failed)
	if !ok || f.Direction != event.Send {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.reasons == nil || len(n.reasons) >= maxEndings {
		n.reasons = map[string]string{}
	}
	n.reasons[cmp.Or(f.Set, f.Transfer)] = f.Reason
}

// take returns the reason of a transfer, and forgets it; "" for none.
func (n *endings) take(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	reason := n.reasons[id]
	delete(n.reasons, id)
	return reason
}

// port is the account online for a courier.
type port struct {
	a    *app
	c    *config.Config
	e    endpoint
	t    transfers
	tell func(event.Event)
	ends *endings
	// paused reports whether no file may move.
	paused func() bool
}

// pausedPoll is how often it is looked whether a pause is over.
const pausedPoll = time.Second

// options are those that an entry was queued with.
func (p *port) options(e *outbox.Entry) (transfer.SendOptions, error) {
	o, err := p.a.queuedOptions(*p.c, e)
	o.LimitRate, o.Patient = transfer.KeepRate, true
	return o, err
}

// queuedOptions are those of an entry, in a configuration that has others. Nobody is asked.
func (a *app) queuedOptions(c config.Config, e *outbox.Entry) (o transfer.SendOptions, err error) {
	c.Send = config.Send{} // or what it points to would be written to
	if err := json.Unmarshal(e.Options, &c.Send); err != nil {
		return o, fmt.Errorf("options of %s: %w", e.ID, err)
	}
	if o, err = a.sendOptions(&c, nil); err != nil {
		return o, err
	}
	for _, f := range e.Files {
		left, err := exclude.Parse(f.Exclude...)
		if err != nil {
			return o, err
		}
		o.Files = append(o.Files, source.Named{Path: f.Path, Name: f.Name, Exclude: left})
	}
	o.To = e.Peer
	if c.Send.AnswerTimeout == nil {
		o.AnswerTimeout = unattendedAnswer
	}
	return o, nil
}

// Reach implements [outbox.Port].
func (p *port) Reach(ctx context.Context, e *outbox.Entry, wait time.Duration) error {
	o, err := p.options(e)
	if err != nil {
		return err
	}
	o.Wait = wait
	return p.e.Reach(ctx, o)
}

// Keys implements [outbox.Port].
func (p *port) Keys(ctx context.Context, of jid.JID) error {
	changed, err := p.e.LearnKeys(ctx, of)
	if err != nil || len(changed) == 0 {
		return err
	}
	return &fault.Failure{
		Code: exitcode.Untrusted, Reason: "a device of " + clean.Text(of.Bare().String()) + " has another key than it had",
		Hints: []string{"compare it with the contact, and run `" + p.a.again("trust", "verify", clean.Text(of.Bare().String())) + "`"},
	}
}

// Send implements [outbox.Port].
func (p *port) Send(ctx context.Context, e *outbox.Entry, id string) error {
	o, err := p.options(e)
	if err != nil {
		return err
	}
	for p.paused() { // or the contact would get an offer of which nothing comes
		if err := backoff.Wait(ctx, pausedPoll); err != nil {
			return err
		}
	}
	o.ID = id
	err = p.e.Send(ctx, o)
	var f *fault.Failure
	if errors.As(err, &f) && !f.Reported && ctx.Err() == nil && f.Code != exitcode.Untrusted {
		p.tell(event.FailedEarly{Direction: event.Send, Peer: e.Peer.String(), Code: int(f.Code), Reason: e.Name + ": " + clean.Error(f), Hints: f.Hints})
	}
	return err
}

// Forget implements [outbox.Port].
func (p *port) Forget(ctx context.Context, id string) error { return giveUp(ctx, p.t, id) }

// giveUp forgets a transfer that we send, if there is one.
func giveUp(ctx context.Context, t transfers, id string) error {
	err := t.Forget(ctx, journal.Key{ID: id, Direction: journal.Send})
	if errors.Is(err, journal.ErrUnknown) {
		return nil
	}
	return err
}

// Standing implements [outbox.Port].
func (p *port) Standing(ctx context.Context, id string) (outbox.Standing, error) {
	row, _, err := p.t.Get(ctx, id)
	if errors.Is(err, journal.ErrUnknown) {
		return outbox.Standing{}, nil
	}
	return outbox.Standing{Live: row.State.Live(), Arrived: row.Released, Over: row.State.Over() && !row.Released}, err
}

// Code implements [outbox.Port].
func (p *port) Code(ctx context.Context, id string, err error) (exitcode.Code, string) {
	f := p.a.explain(ctx, err)
	if reason := p.ends.take(id); f.reported && reason != "" {
		f.reason = reason
	}
	return f.code, f.reason
}

// Tell implements [outbox.Port].
func (p *port) Tell(e *outbox.Entry, code exitcode.Code, why string) {
	var hints []string
	if code == exitcode.Untrusted {
		hints = []string{"it is held; when you have compared the key, run `" + p.a.again("trust", "verify", clean.Text(e.Peer.Bare().String())) + "`"}
	}
	p.tell(event.FailedEarly{Direction: event.Send, Peer: e.Peer.String(), Code: int(code), Reason: e.Name + ": " + why, Hints: hints})
}
