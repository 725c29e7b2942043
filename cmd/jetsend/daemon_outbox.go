package main

import (
	"context"
	"errors"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/outbox"
	"jetsend/internal/state"
	"jetsend/internal/status"
)

// lockTime is how often a receive looks whether another process has done with the outbox.
const lockTime = 2 * time.Second

// deliver brings what is queued to its contacts until the run is told to stop: what is being sent
// then goes on with the next run. While a `deliver` is at it, this run waits.
func (d *daemon) deliver(ctx context.Context, e endpoint) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(d.stopped, func() { cancel(fault.ErrTerminated) })()
	select {
	case <-d.up:
	case <-ctx.Done():
		return
	}
	l, err := d.courierLock(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.report(event.Warning{Text: "what is queued is not sent: " + clean.Error(err)})
		}
		return
	}
	defer func() { _ = l.Release() }() // nothing is written to it
	err = d.a.withOutbox(ctx, d.conf, func(box *outbox.Box, t transfers) error {
		c := &outbox.Courier{Box: box, Port: &port{d.a, d.conf, e, t, d.report, &d.ends, d.isPaused}, Log: d.a.log, Changed: d.queued}
		c.Run(ctx)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		d.report(event.Warning{Text: "what is queued is not sent: " + clean.Error(err)})
	}
}

// courierLock waits for the lock of who delivers.
func (d *daemon) courierLock(ctx context.Context) (*state.Lock, error) {
	dir, err := d.a.stateDir()
	if err != nil {
		return nil, err
	}
	for {
		l, err := courierLock(dir, d.account)
		if !errors.Is(err, state.ErrLocked) {
			return l, err
		}
		if err := backoff.Wait(ctx, lockTime); err != nil {
			return nil, err
		}
	}
}

// isPaused reports whether no file may move.
func (d *daemon) isPaused() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paused
}

// queued tells `status` what waits.
func (d *daemon) queued(open []outbox.Entry) {
	var all []status.Queued
	for i := range open {
		e := &open[i]
		all = append(all, status.Queued{ID: e.ID, Name: e.Name, Contact: e.Peer.String(), Why: e.Why})
	}
	d.doing.SetQueue(all)
}
