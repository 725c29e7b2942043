package simulate

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/outbox"
	"jetsend/internal/source"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

// deliver queues what is not queued, and lets a courier try once: the machine of a user who has
// written everything down.
func (e *end) deliver(n int, left []*original) {
	_ = e.live("deliver", false, func(ctx context.Context, ep *transfer.Endpoint) (err error) {
		ctx, done := e.interrupting(ctx, n)
		defer done()
		db, err := state.Open(ctx, state.Path(filepath.Join(e.disk.dir, "state"), e.jid))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		box, err := outbox.Open(ctx, db, filepath.Join(e.disk.dir, "outbox"), time.Now)
		if err != nil {
			return err
		}
		if err := e.queue(ctx, box, left); err != nil {
			return err
		}
		c := &outbox.Courier{Box: box, Port: &desk{e, ep, db}, Log: slog.New(slog.DiscardHandler)}
		code, err := c.Once(ctx, 5*time.Minute)
		if err == nil && code != exitcode.OK {
			err = &fault.Failure{Code: code, Reason: "not everything was delivered"}
		}
		return err
	})
}

// undelivered reports whether anything is queued still, on a machine on which nothing runs: its
// end may not have been noted.
func (e *end) undelivered() bool {
	e.disk.look(true)
	defer e.disk.look(false)
	ctx := context.Background()
	db, err := state.Open(ctx, state.Path(filepath.Join(e.disk.dir, "state"), e.jid))
	if err != nil {
		e.w.violated("the simulation itself: %v", err)
		return false
	}
	defer func() { _ = db.Close() }()
	var open []outbox.Entry
	box, err := outbox.Open(ctx, db, filepath.Join(e.disk.dir, "outbox"), time.Now)
	if err == nil {
		open, err = box.Open(ctx)
	}
	if err != nil {
		e.w.violated("the simulation itself: %v", err)
	}
	return len(open) > 0
}

// queue writes down what is not sent and not in the outbox.
func (e *end) queue(ctx context.Context, box *outbox.Box, left []*original) error {
	open, err := box.Open(ctx)
	if err != nil {
		return err
	}
	queued := map[string]bool{}
	for i := range open {
		queued[open[i].Files[0].Path] = true
	}
	for _, s := range left {
		if queued[s.path] {
			continue
		}
		entry := &outbox.Entry{
			ID: uuid.NewString(), Peer: e.w.juliet.jid, Name: filepath.Base(s.path), Files: []outbox.File{{Path: s.path}}, Options: []byte("{}"),
			Changed: outbox.SendChanged, Until: time.Now().Add(365 * 24 * time.Hour),
		}
		if entry.Stamp, err = outbox.StampOf(entry.Files); err == nil {
			err = box.Put(ctx, entry)
		}
		if err != nil {
			return err
		}
		e.w.count("queued")
	}
	return nil
}

// desk is a machine for a courier.
type desk struct {
	e  *end
	ep *transfer.Endpoint
	db *sql.DB
}

func (d *desk) options(e *outbox.Entry) transfer.SendOptions {
	return transfer.SendOptions{
		To: e.Peer, Files: []source.Named{{Path: e.Files[0].Path}}, AnswerTimeout: 10 * time.Minute, Route: inBand,
		Retry: d.e.w.plan.retry, Encryption: d.e.w.plan.form, LimitRate: transfer.KeepRate,
	}
}

// Reach implements [outbox.Port].
func (d *desk) Reach(ctx context.Context, e *outbox.Entry, wait time.Duration) error {
	o := d.options(e)
	o.Wait = wait
	_, err := d.ep.Choose(ctx, o)
	return d.ep.Ended(ctx, err)
}

// Keys implements [outbox.Port].
func (d *desk) Keys(context.Context, jid.JID) error { return nil }

// Send implements [outbox.Port].
func (d *desk) Send(ctx context.Context, e *outbox.Entry, id string) error {
	o := d.options(e)
	o.ID, o.Wait = id, time.Minute
	err := d.ep.Send(ctx, o)
	if err == nil {
		d.e.w.once(e.ID, id)
	}
	return err
}

// once notes by which transfer an entry was delivered: there is no other one, whoever crashes.
func (w *world) once(entry, transfer string) {
	w.mu.Lock()
	before := w.delivered[entry]
	if w.delivered == nil {
		w.delivered = map[string]string{}
	}
	w.delivered[entry] = transfer
	w.mu.Unlock()
	if before != "" && before != transfer {
		w.violated("%s was queued once and sent twice, as %s and as %s", entry, before, transfer)
	}
}

// Forget implements [outbox.Port].
func (d *desk) Forget(context.Context, string) error { return nil }

// Known implements [outbox.Port].
func (d *desk) Known(ctx context.Context, id string) (live, over bool, err error) {
	j, err := journal.Open(ctx, d.db, time.Now)
	if err != nil {
		return false, false, err
	}
	row, err := j.Load(ctx, journal.Key{ID: id, Direction: journal.Send})
	if errors.Is(err, journal.ErrUnknown) {
		return false, false, nil
	}
	return row.State.Live(), row.State.Over() && !row.Released, err
}

// Code implements [outbox.Port].
func (d *desk) Code(_ context.Context, _ string, err error) (exitcode.Code, string) {
	f := fault.New(err, false)
	return f.Code, f.Error()
}

// Tell implements [outbox.Port].
func (d *desk) Tell(*outbox.Entry, exitcode.Code, string) {}
