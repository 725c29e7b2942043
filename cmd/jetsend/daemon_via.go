package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/local"
	"jetsend/internal/outbox"
	"jetsend/internal/source"
	"jetsend/internal/status"
	"jetsend/internal/transfer"
)

// lendings is how many sends of other processes a receive does at the same time: half of what
// the local socket serves.
const lendings = 8

// send sends for another process of the user, who is told what happens. The send ends with
// the connection, as it would with its process.
func (d *daemon) send(ctx context.Context, e endpoint, r local.Request, tell func(any) error) error {
	select {
	case d.lent <- struct{}{}:
		defer func() { <-d.lent }()
	default:
		return refused(errors.New("enough is being sent for others"))
	}
	o, err := d.lend(ctx, e, r)
	if err != nil {
		return refused(err)
	}
	if err := tell(sendItem{}); err != nil {
		return err
	}
	l := &lender{d: d, tell: tell}
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	l.cancel = cancel
	defer context.AfterFunc(ctx, func() { l.stop(context.Cause(ctx)) })()
	defer context.AfterFunc(d.stopped, func() { l.stop(errStopping) })()
	o.Report = l.report
	l.report(event.Online{JID: e.JID().String()})
	d.lenders.Store(l, nil)
	defer d.lenders.Delete(l)
	err = e.Send(run, o)
	return l.end(d.endOf(run, o.Files, err))
}

// tellBorrowers tells all for whom something is sent of what is about no transfer.
func (d *daemon) tellBorrowers(e event.Event) {
	d.lenders.Range(func(key, _ any) bool {
		if l, ok := key.(*lender); ok {
			l.report(e)
		}
		return true
	})
}

// refused is the answer to a request that this run does not take.
func refused(err error) error { return &local.Error{Code: int(exitcode.Usage), Text: err.Error()} }

// lend checks that a send would be here what it would be in its own process, and returns
// what it is.
func (d *daemon) lend(ctx context.Context, e endpoint, r local.Request) (o transfer.SendOptions, err error) {
	var body sendRequest
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return o, err
	}
	d.mu.Lock()
	idle := d.paused || d.ending
	d.mu.Unlock()
	if idle || d.stopped.Err() != nil || d.conf.Receive.Once || d.doing.Snapshot().Connection.State != status.Online {
		return o, errors.New("nothing is sent from here now")
	}
	if body.Like != likeness(d.conf, d.account) {
		return o, errors.New("another version, or another configuration")
	}
	if id, err := identity(body.Files); err != nil || id != body.Identity || len(body.Files) == 0 {
		return o, errors.Join(err, errors.New("not the same files"))
	}
	c := *d.conf
	c.Transports.Order = body.Transports
	t := target{name: body.Name}
	if t.jid, err = jid.Parse(body.To); err != nil {
		return o, err
	}
	if err := d.a.settle(ctx, &c, e, &t); err != nil {
		return o, err
	}
	options, err := json.Marshal(body.Options)
	if err != nil {
		return o, err
	}
	if o, err = d.a.queuedOptions(c, &outbox.Entry{Peer: t.jid, Files: body.Files, Options: options}); err == nil {
		o.LimitRate = transfer.KeepRate
	}
	return o, err
}

// endOf is how a send ended.
func (d *daemon) endOf(ctx context.Context, files []source.Named, err error) *sendEnd {
	if err == nil {
		return &sendEnd{}
	}
	f := d.a.explain(ctx, err)
	end := &sendEnd{Code: f.code, Reason: f.reason, Hints: f.hints, Reported: f.reported}
	var rest *fault.NotBegunError
	if errors.As(err, &rest) {
		for _, s := range rest.Sources {
			end.Rest = append(end.Rest, slices.IndexFunc(files, func(f source.Named) bool { return f.Path == s.Path && f.Name == s.Name }))
		}
	}
	return end
}

// lender tells the process for which something is sent.
type lender struct {
	d      *daemon
	cancel context.CancelCauseFunc

	mu   sync.Mutex
	tell func(any) error // nil: nothing is told any more
}

// report passes an event on. One of a transfer is seen here, too.
func (l *lender) report(e event.Event) {
	if b, err := event.Encode(e); err == nil {
		l.say(sendItem{Event: b})
	}
	if _, ok := event.Of(e); ok {
		l.d.report(e)
	}
}

// say tells an item. Without somebody who listens the send has come to its end.
func (l *lender) say(i sendItem) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tell == nil {
		return false
	}
	if err := l.tell(i); err != nil {
		l.tell = nil
		l.cancel(fault.ErrTerminated)
	}
	return true
}

// stop ends the send. When it is this run that ends, the other process is told no more: for
// it the transfer was interrupted.
func (l *lender) stop(cause error) {
	var told *local.Error
	switch {
	case errors.As(cause, &told) && told.Text == fault.ErrInterrupted.Error():
		l.cancel(fault.ErrInterrupted)
	case told != nil, errors.Is(cause, local.ErrGone):
		l.cancel(fault.ErrTerminated)
	default:
		l.mu.Lock()
		l.tell = nil
		l.mu.Unlock()
		l.cancel(fault.ErrTerminated)
	}
}

// end tells the end.
func (l *lender) end(e *sendEnd) error {
	if !l.say(sendItem{End: e}) {
		return refused(errStopping)
	}
	return nil
}
