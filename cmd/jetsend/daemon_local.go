package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/local"
	"jetsend/internal/session"
	"jetsend/internal/state"
	"jetsend/internal/status"
)

// The requests that a running receive answers.
const (
	requestStatus    = "status"
	requestPause     = "pause"
	requestResume    = "resume"
	requestLimitRate = "limit-rate"
)

// statusRequest is the body of requestStatus.
type statusRequest struct {
	// Follow asks for one item more on each change, until the run ends.
	Follow bool `json:"follow"`
}

// limitRequest is the body of requestLimitRate.
type limitRequest struct {
	BytesPerSecond int64 `json:"bytes_per_second"` // 0: none
}

// followEvery is the time between two items, at least.
const followEvery = 500 * time.Millisecond

// localSocket is where the receive of an account is spoken to.
func (a *app) localSocket(dir string, account *config.Chosen) (path string, shared bool) {
	return local.Socket(state.Path(dir, account.Addr), a.Env("XDG_RUNTIME_DIR"))
}

// connection is told of every change of the stream to the server.
func (d *daemon) connection(s session.State) {
	switch {
	case s.Err != nil:
		d.doing.Down(clean.Error(s.Err), s.RetryIn, int(exitcode.Unreachable))
	case s.Up:
		d.doing.Up()
	}
}

// listen takes the local socket. Without one the run does its work all the same.
func (d *daemon) listen(e endpoint) *local.Server {
	s, err := d.socket(e)
	if err != nil {
		d.a.log.Warn("local socket", "error", err)
		d.a.print.Event(event.Warning{Text: "`jetsend status` will not find this receive: " + clean.Error(err)})
		return nil
	}
	return s
}

// socket makes the socket. The lock of the account's one receive is ours, and so is the
// path: what is there was left behind.
func (d *daemon) socket(e endpoint) (*local.Server, error) {
	dir, err := d.a.stateDir()
	if err != nil {
		return nil, err
	}
	path, shared := d.a.localSocket(dir, d.account)
	if path == "" {
		return nil, errNoSocket
	}
	if shared {
		dir = filepath.Dir(path)
	}
	if err := state.Private(dir); err != nil {
		return nil, err
	}
	return local.Listen(path, d.handlers(e), d.a.log)
}

// errNoSocket: there is no path for one.
var errNoSocket = errors.New("the path of the state directory is too long for a socket, and XDG_RUNTIME_DIR is not set")

func (d *daemon) handlers(e endpoint) map[string]local.Handler {
	return map[string]local.Handler{
		requestStatus: func(ctx context.Context, r local.Request, send func(any) error) error {
			var body statusRequest
			if err := body.read(r); err != nil {
				return err
			}
			if !body.Follow {
				return send(d.snapshot(e))
			}
			return d.follow(ctx, e, send)
		},
		requestPause:  func(_ context.Context, _ local.Request, send func(any) error) error { return d.hold(e, true, send) },
		requestResume: func(_ context.Context, _ local.Request, send func(any) error) error { return d.hold(e, false, send) },
		requestLimitRate: func(_ context.Context, r local.Request, send func(any) error) error {
			var body limitRequest
			if err := json.Unmarshal(r.Body, &body); err != nil || body.BytesPerSecond < 0 {
				return &local.Error{Code: int(exitcode.Usage), Text: "the request has no rate"}
			}
			d.limit(e, body.BytesPerSecond)
			return send(d.snapshot(e))
		},
		requestSend: func(ctx context.Context, r local.Request, send func(any) error) error { return d.send(ctx, e, r, send) },
	}
}

// read reads the body of a request; none is all of the defaults.
func (b *statusRequest) read(r local.Request) error {
	if len(r.Body) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Body, b); err != nil {
		return &local.Error{Code: int(exitcode.Usage), Text: "the request cannot be read"}
	}
	return nil
}

// follow tells of each change, until ctx ends.
func (d *daemon) follow(ctx context.Context, e endpoint, send func(any) error) error {
	for {
		changed := d.doing.Changed()
		if err := send(d.snapshot(e)); err != nil {
			return err
		}
		if backoff.Wait(ctx, followEvery) != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// snapshot is what the run is doing now.
func (d *daemon) snapshot(e endpoint) status.Snapshot {
	s := d.doing.Snapshot()
	s.Account, s.Version, s.PID, s.Since = d.account.Addr.String(), currentVersion().Version, os.Getpid(), d.since
	d.mu.Lock()
	s.Paused, s.LimitRate = d.paused, d.rate
	d.mu.Unlock()
	if c := &s.Connection; c.State == status.Online {
		c.JID = e.JID().String()
		if l, mechanism := e.Link(); l != nil {
			c.Server, c.TLS, c.Mechanism = l.Address, tls.VersionName(l.TLS.Version), mechanism
		}
	}
	return s
}

// hold stops all bytes, or lets them go on; then it tells so.
func (d *daemon) hold(e endpoint, on bool, send func(any) error) error {
	d.holding.Lock()
	e.Hold(on)
	d.mu.Lock()
	was, text, ending := d.paused, d.state, d.ending
	d.paused = on
	d.mu.Unlock()
	d.holding.Unlock()
	d.doing.Touch()
	if on {
		text = "paused: no file moves until `" + d.a.again("status", "resume") + "`"
	}
	if was != on {
		d.a.log.Info("local request", "paused", on)
		if !ending {
			d.notify.status(text)
		}
		if on {
			d.a.print.Note("%s", text)
		} else {
			d.a.print.Note("no longer paused")
		}
	}
	return send(d.snapshot(e))
}

// limit changes the rate of what runs.
func (d *daemon) limit(e endpoint, bytesPerSecond int64) {
	d.control.Lock()
	e.LimitRate(bytesPerSecond)
	d.mu.Lock()
	d.rate, d.limited = bytesPerSecond, true
	d.mu.Unlock()
	d.control.Unlock()
	d.doing.Touch()
	d.a.log.Info("local request", "limit_rate", bytesPerSecond)
}

// keepRate has a reload keep the limit that was set by `jetsend status limit-rate`, unless
// the configuration has another one than before: then that is what holds. The caller
// holds d.control.
func (d *daemon) keepRate(configured int64) (rate int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if configured != d.configured {
		d.limited = false
	}
	d.configured = configured
	if !d.limited {
		d.rate = configured
	}
	return d.rate
}
