package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"jetsend/internal/actors"
	"jetsend/internal/batch"
	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/workload"
)

// receiver is one run of Receive. Of its goroutines the keeper and the priming are joined
// by run, its work by whatever ends the run and in the end by finishHooks, and the actors
// by the closing of their table. Its contexts are those of its fields; the keeper has one
// more, since it is to be alive as long as the run and no longer.
type receiver struct {
	e         *core
	dir       *inbox.Dir
	ctx       context.Context // of the transfers; ends with that of Receive, or after the drain
	end       context.CancelCauseFunc
	hooks     context.Context // of the hooks; ends with the signals, and after the drain
	unhook    context.CancelCauseFunc
	work      workload.Workload // all but the keeper and the priming; Receive waits for it
	deciding  context.Context   // of what is not decided yet; ends with the run's taking new offers
	refuse    context.CancelCauseFunc
	places    charge.Places // of running transfers
	strangers *rate.Limiter
	paces     charge.Offers      // of the offers of each contact
	readings  charge.Readings    // of what they have us read
	alive     chan chan struct{} // closed after a look of the keeper
	actors    actors.Table[journal.Key, input]
	last      chan struct{} // closed when there will be no more sessions
	why       error         // by then, the cause of the end of the run

	away     charge.Reports        // that offers of a contact were turned away
	inForce  atomic.Pointer[terms] // see terms
	renewing sync.Mutex            // of inForce

	kick    chan struct{} // something for the keeper to look at
	answers *batch.Answers
	once    *batch.Once // what --once takes; nil without it
}

// openInbox opens the download directory of a run that can take files.
func (e *core) openInbox(path string) (*inbox.Dir, error) {
	if err := e.sess.RosterError(); err != nil { // nobody would be a contact
		return nil, &fault.Failure{
			Code: exitcode.Config, Reason: "cannot receive", Err: err,
			Hints: []string{"use an account of its own for jetsend, or remove contacts"},
		}
	}
	dir, err := inbox.Open(path)
	if err != nil {
		return nil, &fault.Failure{Code: exitcode.LocalFile, Reason: "cannot receive", Err: err,
			Hints: []string{"name a directory that exists and can be written with --dir"}}
	}
	return dir, nil
}

// Receive waits for files until ctx ends, opt.Stop is closed, the server is
// lost, or, with Once, one accepted transfer has ended. It returns nil, or a
// *Failure with the exit code of the run.
func (e *Endpoint) Receive(ctx context.Context, opt ReceiveOptions) error {
	dir, err := e.openInbox(opt.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	r := &receiver{
		e: &e.core, dir: dir, strangers: charge.Strangers(), answers: batch.NewAnswers(),
		kick: make(chan struct{}, 1), alive: make(chan chan struct{}), last: make(chan struct{}),
	}
	e.LimitRate(opt.LimitRate)
	if opt.Once {
		r.once = batch.NewOnce()
	}
	r.ctx, r.end = context.WithCancelCause(ctx)
	defer r.end(nil)
	r.deciding, r.refuse = context.WithCancelCause(r.ctx)
	defer r.refuse(nil)
	r.hooks, r.unhook = context.WithCancelCause(ctx)
	defer r.unhook(nil)
	verified, err := e.people().Verified(ctx)
	if err != nil {
		return &fault.Failure{Code: exitcode.Config, Reason: "state", Err: err}
	}
	r.inForce.Store(&terms{opt, verified, e.people()})
	if opt.InsecurePlaintext {
		e.cfg.Report(event.Warning{Text: receivesPlaintext})
	}
	if why := dir.Exposed(); why != "" && opt.Out == nil {
		e.cfg.Report(event.Warning{Text: "other users of this machine can exchange received files in " + clean.Text(opt.Dir) + ": " + why})
	}
	e.receiver.Store(r)
	if err := e.advertise(ctx, &opt); err != nil && conversation.Gone(e.sess) {
		return e.unreachable()
	}
	if err := e.sess.Appear(ctx); err != nil && conversation.Gone(e.sess) {
		return e.unreachable()
	}
	e.tellOnline()
	err = r.run(ctx)
	e.receiver.Store(nil)
	r.end(fault.ErrStreamLost)
	r.finishHooks()
	r.why = context.Cause(ctx)
	close(r.last)
	r.actors.Close()
	return err
}

// run has the keeper and the priming at work until the run is over, and takes nothing new
// when it returns.
func (r *receiver) run(ctx context.Context) error {
	keeping, stop := context.WithCancel(r.ctx)
	defer stop()
	var children sync.WaitGroup
	children.Go(func() { r.prime(r.deciding) })
	children.Go(func() { r.keep(keeping) })
	err := r.wait(ctx)
	stop()
	r.close(fault.ErrStreamLost)
	children.Wait()
	return err
}

// wait blocks until the run is over, and ends what is running as it should be.
func (r *receiver) wait(ctx context.Context) error {
	run := r.terms() // Changes and Stop stay what they are
	late := time.NewTimer(r.e.timing.nextOffer)
	defer late.Stop()
	for {
		select {
		case code := <-r.once.Over():
			r.finish(ctx)
			return onceFailure(code)
		case <-r.once.Changed():
			late.Reset(r.e.timing.nextOffer)
		case <-late.C:
			if lacks := r.lacks(); lacks > 0 {
				r.finish(ctx)
				return r.incomplete(lacks)
			}
			late.Reset(r.e.timing.nextOffer)
		case c := <-run.Changes:
			r.change(ctx, c)
		case <-ctx.Done():
			return r.halt(context.Cause(ctx))
		case <-run.Stop:
			return r.stop(ctx)
		case <-r.e.sess.Done():
			return r.cut(fault.ErrStreamLost, r.e.unreachable())
		}
	}
}

// halt ends the run because of cause: each transfer tells its peer.
func (r *receiver) halt(cause error) error {
	return r.cut(cause, &fault.Failure{Code: fault.New(cause, false).Code, Reason: cause.Error()})
}

// cut ends what is running because of cause, and waits for that. It returns how the batch
// of --once has ended, if it has, and else what the end of the run is called.
func (r *receiver) cut(cause, called error) error {
	r.end(cause)
	r.close(cause)
	r.work.All.Wait()
	select {
	case code := <-r.once.Over():
		return onceFailure(code)
	default:
		return called
	}
}

// finish ends a run whose batch is over, or given up: what was accepted beside it, the
// rest of a file that is sent, gets the drain. Hooks are waited for by Receive.
func (r *receiver) finish(ctx context.Context) {
	r.close(fault.Refuse(errTaken, jingle.Reason{Condition: jingle.Busy}))
	if cause := r.drain(ctx, &r.work.Sessions); cause != nil {
		r.end(cause)
		r.work.Sessions.Wait()
	}
}

// stop ends a run that was told to: what is running gets the drain.
func (r *receiver) stop(ctx context.Context) error {
	r.close(fault.ErrDrained)
	switch cause := r.drain(ctx, &r.work.All); {
	case errors.Is(cause, fault.ErrDrained):
		r.end(cause)
		r.unhook(fault.ErrTerminated)
		r.work.All.Wait()
	case cause != nil && ctx.Err() != nil:
		return r.halt(context.Cause(ctx))
	}
	return nil
}

// drain lets what is running finish for a while, unless the server is lost or ctx ends. It
// returns what cut it short.
func (r *receiver) drain(ctx context.Context, running *workload.Group) error {
	select {
	case <-running.Ended():
		return nil
	case <-time.After(r.terms().Drain):
		return fault.ErrDrained
	case <-r.e.sess.Done():
		return fault.ErrStreamLost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lacks is how many files of the batch have not been offered, when nothing of it is
// under way and nothing is being decided.
func (r *receiver) lacks() int {
	if r.work.Waiting() > 0 { // an offer that is decided has been claimed before
		return 0
	}
	return r.once.Lacks()
}

// incomplete is the end of a run whose batch did not come as a whole.
func (r *receiver) incomplete(lacks int) error {
	count, code := r.once.GiveUp()
	return &fault.Failure{
		Code: code, Reason: fmt.Sprintf("%d of the %d files were not offered", lacks, count),
		Hints: []string{"run `jetsend receive` again, and ask the contact for the rest"},
	}
}

// onceFailure is the outcome of a batch that came to its end.
func onceFailure(code exitcode.Code) error {
	if code == exitcode.OK {
		return nil
	}
	return &fault.Failure{Code: code, Reason: "not every file was received", Reported: true}
}

// close has the run take nothing new. An offer that is not decided yet ends with cause.
func (r *receiver) close(cause error) {
	r.work.Close()
	r.refuse(cause)
}

// admits is the first check of every offer: it costs nothing, touches no key
// and tells a stranger nothing. It is called on the stream's dispatcher.
func (r *receiver) admits(t *terms, from jid.JID) bool {
	bare := from.Bare()
	if !r.work.HasRoom() || !r.once.Admits(bare) {
		return false
	}
	rules := t.rules()
	return rules.Admits(from) || rules.AdmitsStranger(bare) && r.strangers.Allow()
}

// start takes an offer, which was admitted under t, off the stream's dispatcher.
func (r *receiver) start(s *jingle.Session, t *terms) {
	if !r.work.Session(func() { r.arrive(s, t) }) { // closed between the first check and here
		r.e.tasks.Go(func() { _ = s.Terminate(context.Background(), jingle.Reason{Condition: jingle.Gone}) })
	}
}
