package transfer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"jetsend/internal/charge"
	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
)

// maxWaiting bounds the offers that are looked at or asked about at once.
const maxWaiting = 64

// receiver is one run of Receive.
type receiver struct {
	e        *Endpoint
	dir      *inbox.Dir
	ctx      context.Context // of the transfers; ends after the drain
	hooks    context.Context // of the hooks; ends with the signals, and after the drain
	unhook   context.CancelCauseFunc
	tasks    sync.WaitGroup
	sessions sync.WaitGroup  // of contacts; among the tasks
	deciding context.Context // of what is not decided yet; ends with the run's taking new offers
	refuse   context.CancelCauseFunc
	places   charge.Places // of running transfers
	strang   *rate.Limiter
	paces    charge.Offers      // of the offers of each contact
	readings charge.Readings    // of what they have us read
	alive    chan chan struct{} // closed after a look of the keeper
	actors   table
	last     chan struct{} // closed when there will be no more sessions
	why      error         // by then, the cause of the end of the run

	away     charge.Reports        // that offers of a contact were turned away
	inForce  atomic.Pointer[terms] // see terms
	renewing sync.Mutex            // of inForce

	mu      sync.Mutex
	closed  bool               // no new offers
	waiting int                // offers not decided yet
	active  int                // offers and transfers not ended yet
	asking  chan struct{}      // one question at a time
	answers map[string]*answer // to batches; under asking
	kick    chan struct{}      // something for the keeper to look at
	once    once               // what --once takes
}

// openInbox opens the download directory of a run that can take files.
func (e *Endpoint) openInbox(path string) (*inbox.Dir, error) {
	if err := e.sess.RosterError(); err != nil { // nobody would be a contact
		return nil, &Failure{
			Code: exitcode.Config, Reason: "cannot receive", Err: err,
			Hints: []string{"use an account of its own for jetsend, or remove contacts"},
		}
	}
	dir, err := inbox.Open(path)
	if err != nil {
		return nil, &Failure{Code: exitcode.LocalFile, Reason: "cannot receive", Err: err,
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
	run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	r := &receiver{
		e: e, dir: dir, ctx: run,
		strang: charge.Strangers(),
		asking: make(chan struct{}, 1), answers: map[string]*answer{},
		kick: make(chan struct{}, 1), alive: make(chan chan struct{}), last: make(chan struct{}),
	}
	e.limitRate(opt.LimitRate)
	if opt.Once {
		r.once.begin()
	}
	r.deciding, r.refuse = context.WithCancelCause(run)
	defer r.refuse(nil)
	r.hooks, r.unhook = context.WithCancelCause(ctx)
	defer r.unhook(nil)
	verified, err := e.verifiedContacts(ctx)
	if err != nil {
		return &Failure{Code: exitcode.Config, Reason: "state", Err: err}
	}
	r.inForce.Store(&terms{ReceiveOptions: opt, e: e, verified: verified})
	if opt.InsecurePlaintext {
		e.cfg.Report(Warning{Text: receivesPlaintext})
	}
	if why := dir.Exposed(); why != "" && opt.Out == nil {
		e.cfg.Report(Warning{Text: "other users of this machine can exchange received files in " + clean.Text(opt.Dir) + ": " + why})
	}
	e.receiver.Store(r)
	if err := e.advertise(ctx, opt.Route); err != nil && e.gone() {
		return e.unreachable()
	}
	if err := e.sess.Appear(ctx); err != nil && e.gone() {
		return e.unreachable()
	}
	priming, stop := context.WithCancel(run)
	done := make(chan struct{})
	go func() { // waited for right below
		defer close(done)
		r.prime(priming)
	}()
	defer func() { stop(); <-done }()
	e.cfg.Report(Online{JID: e.sess.JID().String()})
	keeping, stopKeeping := context.WithCancel(run)
	var kept sync.WaitGroup
	kept.Go(func() { r.keep(keeping) })
	err = r.wait(ctx, cancel)
	stopKeeping()
	kept.Wait()
	r.close(errStreamLost)
	e.receiver.Store(nil)
	cancel(errStreamLost)
	r.finishHooks()
	r.why = context.Cause(ctx)
	close(r.last)
	r.actors.close()
	return err
}

// wait blocks until the run is over, and ends what is running as it should be.
func (r *receiver) wait(ctx context.Context, cancel context.CancelCauseFunc) error {
	run := r.terms() // Changes and Stop stay what they are
	late := time.NewTimer(r.e.timing.nextOffer)
	defer late.Stop()
	for {
		select {
		case code := <-r.once.over:
			r.finish(ctx, cancel)
			return onceFailure(code)
		case <-r.once.changed:
			late.Reset(r.e.timing.nextOffer)
		case <-late.C:
			if lacks := r.lacks(); lacks > 0 {
				r.finish(ctx, cancel)
				return r.incomplete(lacks)
			}
			late.Reset(r.e.timing.nextOffer)
		case c := <-run.Changes:
			r.change(ctx, c)
		case <-ctx.Done():
			return r.halt(context.Cause(ctx), cancel)
		case <-run.Stop:
			r.close(errDrained)
			return r.drain(ctx, cancel)
		case <-r.e.sess.Done():
			cancel(errStreamLost)
			r.close(errStreamLost)
			r.tasks.Wait()
			if ended, err := r.ended(); ended {
				return err
			}
			return r.e.unreachable()
		}
	}
}

// halt ends what is running because of cause, the end of the run.
func (r *receiver) halt(cause error, cancel context.CancelCauseFunc) error {
	cancel(cause) // each transfer tells its peer
	r.close(cause)
	r.tasks.Wait()
	if ended, err := r.ended(); ended {
		return err
	}
	f := failureOf(cause, false)
	return &Failure{Code: f.Code, Reason: cause.Error()}
}

// ended is how the accepted transfer of --once ended, if it did.
func (r *receiver) ended() (is bool, err error) {
	select {
	case code := <-r.once.over:
		return true, onceFailure(code)
	default:
		return false, nil
	}
}

// drain lets the running transfers finish for a while, unless ctx ends.
func (r *receiver) drain(ctx context.Context, cancel context.CancelCauseFunc) error {
	done := make(chan struct{})
	go func() { // ends with the tasks, which Receive waits for
		r.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(r.terms().Drain):
		cancel(errDrained)
		r.unhook(ErrTerminated)
		<-done
	case <-r.e.sess.Done():
	case <-ctx.Done():
		return r.halt(context.Cause(ctx), cancel)
	}
	return nil
}

// close has the run take nothing new. What is not decided yet ends with cause.
func (r *receiver) close(cause error) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.refuse(cause)
}

func (r *receiver) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// admits is the first check of every offer: it costs nothing, touches no key
// and tells a stranger nothing. It is called on the stream's dispatcher.
func (r *receiver) admits(t *terms, from jid.JID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	bare := from.Bare()
	if r.closed || r.waiting >= maxWaiting || r.once.taken != nil && r.once.taken.from != bare {
		return false
	}
	if t.admits(from) {
		return true
	}
	return t.Accept == AcceptAll && t.names(bare) && r.strang.Allow()
}

// verifiedContacts are those with a key that the user verified.
func (e *Endpoint) verifiedContacts(ctx context.Context) (map[jid.JID]bool, error) {
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
func (e *Endpoint) isContact(bare jid.JID) bool {
	if bare == e.sess.JID().Bare() {
		return true
	}
	s := e.sess.Subscription(bare)
	return s == "from" || s == "both"
}

// start takes an offer, which was admitted under t, off the stream's dispatcher.
func (r *receiver) start(s *jingle.Session, t *terms) {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.waiting++
		r.active++
		r.tasks.Add(1)
		r.sessions.Add(1)
	}
	r.mu.Unlock()
	if closed { // between the first check and here
		r.e.tasks.Go(func() { _ = s.Terminate(context.Background(), jingle.Reason{Condition: jingle.Gone}) })
		return
	}
	go func() {
		defer r.tasks.Done()
		defer r.sessions.Done()
		r.arrive(s, t)
		r.mu.Lock()
		r.active--
		r.mu.Unlock()
	}()
}

// spawn runs a task of the run, unless that takes nothing new any more.
func (r *receiver) spawn(task func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.tasks.Add(1)
	go func() {
		defer r.tasks.Done()
		task()
	}()
	return true
}

// looked is called once for every offer that start took, when it is decided.
func (r *receiver) looked() {
	r.mu.Lock()
	r.waiting--
	r.mu.Unlock()
}
