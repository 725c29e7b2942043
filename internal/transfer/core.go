package transfer

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/crypto"
	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/stream"
	"jetsend/internal/tally"
	"jetsend/internal/upkeep"
)

// core is what the transfers of an endpoint stand on: its account and device, its state,
// and where events go. It knows no transfer.
type core struct {
	*common
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

	upkeep *upkeep.Upkeep
	book   *tally.Book // the sets that have not ended
	routes *route.Finder
}

// common is what a core shares with those that telling makes of it.
type common struct {
	announced atomic.Bool               // the first login is done
	told      sync.Once                 // that we are online
	back      atomic.Pointer[time.Time] // of the latest login after the first
	sending   stream.Rate
	receiving stream.Rate
	tasks     sync.WaitGroup
}

// report has what the core begins reported there.
func (e *core) report(to func(event.Event)) {
	e.book = tally.NewBook(event.Logged(e.log, to), func(key journal.Key) []journal.Argument { return e.rows().Arguments(key) })
	e.cfg.Report = e.book.Report
}

// telling is the same core for what is reported elsewhere; nil: where everything is.
func (e *core) telling(to func(event.Event)) *core {
	if to == nil {
		return e
	}
	other := *e
	other.report(to)
	return &other
}

// tellOnline reports that the account is online, once for all that a run does.
func (e *core) tellOnline() {
	e.told.Do(func() { e.cfg.Report(event.Online{JID: e.sess.JID().String()}) })
}

// unreachable is the loss of the server as the end of a run.
func (e *core) unreachable() *fault.Failure {
	stateDir := ""
	if e.cfg.Receiver {
		stateDir = e.cfg.StateDir
	}
	return fault.Unreachable(e.sess.Err(), stateDir)
}

// advertise says what a receiver takes from now on, and by which transports: no set where
// one file goes to an output.
func (e *core) advertise(ctx context.Context, opt *ReceiveOptions) error {
	if !e.cfg.Receiver {
		return nil
	}
	return e.sess.SetFeatures(ctx, contact.Features(true, !e.cfg.NoSets && opt.Out == nil, opt.Route.Order()))
}

// sessionLimit is how many bytes of a file one session carries at most: what one
// secret may encrypt.
func (e *core) sessionLimit() int64 {
	if e.cfg.SessionLimit > 0 {
		return min(e.cfg.SessionLimit, crypto.MaxPlaintext)
	}
	return crypto.MaxPlaintext
}

// LimitRate is the rate of both directions, each for itself, also of what runs; 0 is none.
func (e *core) LimitRate(bytesPerSecond int64) {
	e.sending.Set(bytesPerSecond)
	e.receiving.Set(bytesPerSecond)
}

// newFinder makes the finder of the endpoint, whose account exists.
func (e *core) newFinder() *route.Finder {
	return route.NewFinder(route.Config{Account: e.sess, Inband: e.ibb, S5B: &e.cfg.S5B, BlockSize: e.cfg.IBBBlockSize, Known: e.cfg.Session.Known, Quick: e.cfg.Quick, Log: e.log})
}
