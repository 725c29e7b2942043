package set

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReceiveOptions are those of a receiver.
type ReceiveOptions struct {
	// Moved is told of bytes of data that came for an entry; nil: nobody is.
	Moved func(number uint64, n int)
	// Patience is how long the other end may get nothing on; 0: for ever.
	Patience time.Duration
	// Arguments and Entries are how many there are at most, as they were offered; 0: as
	// many as a set may have.
	Arguments int
	Entries   uint64
	// Ended is told, once, of an error that ends the session, before Run waits for what the
	// [Target] is at: what is read for a session that is over can stop. nil: nobody is.
	Ended func(error)
}

// Receiver is the end that a set comes to.
type Receiver struct {
	link  Records
	opt   ReceiveOptions
	out   *speaker
	watch *watch
	wake  bell // there is something to say

	// Of the one that hears.
	arguments int
	awaited   []uint64 // files whose data is to come, in their order

	mu       sync.Mutex
	open     map[uint64]load // entries that are not settled
	held     load            // of them all
	say      []Message       // what is to be said
	unsaid   int             // entries that are settled in it: the other end has not heard of them
	total    Totals
	indexed  bool   // there is no further entry
	next     uint64 // number of the next entry
	deciding bool   // what is wanted of the latest one
	early    *Outcome
}

// NewReceiver makes a receiver. Its Settled is to be called by the [Target] that Run is
// given.
func NewReceiver(link Records, o ReceiveOptions) *Receiver {
	if o.Arguments == 0 {
		o.Arguments = MaxArguments
	}
	if o.Entries == 0 {
		o.Entries = MaxEntries
	}
	return &Receiver{link: link, opt: o, open: map[uint64]load{}, wake: newBell()}
}

// Settled tells what became of an entry, from any goroutine, also before Run.
func (r *Receiver) Settled(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deciding && o.Number == r.next-1 { // it is told behind what is wanted
		r.early = &o
		return
	}
	r.settle(o)
}

// Fail ends the session because of trouble that a [Target] has by itself.
func (r *Receiver) Fail(err error) {
	r.mu.Lock()
	w := r.watch
	r.mu.Unlock()
	if w != nil { // else nothing has begun that would not meet it
		w.end(err)
	}
}

// settle takes an entry out. The caller holds r.mu.
func (r *Receiver) settle(o Outcome) {
	l, open := r.open[o.Number]
	if !open {
		return
	}
	delete(r.open, o.Number)
	r.held = r.held.minus(l)
	r.unsaid++
	if o.Renamed != "" {
		r.say = append(r.say, Renamed{o.Number, o.Renamed})
	}
	if o.Kept != "" {
		r.say = append(r.say, Kept{o.Number, o.Kept})
	}
	if o.How == 0 {
		r.total.Failed++
		r.say = append(r.say, Failed{o.Number, o.Reason})
	} else {
		r.total.Released++
		r.released(o)
	}
	r.wake.ring()
}

// released says that an entry is in its place, with those before it if that can be.
func (r *Receiver) released(o Outcome) {
	if last := len(r.say) - 1; last >= 0 {
		if run, is := r.say[last].(Released); is && run.How == o.How && run.First+run.Count == o.Number && run.Count < Window {
			run.Count++
			r.say[last] = run
			return
		}
	}
	r.say = append(r.say, Released{o.Number, 1, o.How})
}

// want says what is wanted of the next entry, as released does.
func (r *Receiver) want(w Want) {
	if last := len(r.say) - 1; last >= 0 && w.Have == 0 {
		if run, is := r.say[last].(Want); is && run.Have == 0 && run.Nothing == w.Nothing {
			run.Count++
			r.say[last] = run
			return
		}
	}
	r.say = append(r.say, w)
}

// farewell is how long a receiver waits for the sender's last word, which changes nothing.
const farewell = 10 * time.Second

// Run receives a set and puts it into its target, which it closes. It returns nil when
// every entry was settled, and the other end was told. It ends with ctx, with its cause.
// The link is closed when it returns an error.
func (r *Receiver) Run(ctx context.Context, into Target) (Totals, error) {
	r.out = newSpeaker(r.link)
	w := newWatch(ctx, r.out, r.opt.Patience, r.opt.Ended)
	r.mu.Lock()
	r.watch = w
	r.mu.Unlock()
	var heard sync.WaitGroup
	next, stop := readAhead(r.link)
	heard.Go(func() { r.watch.end(r.hear(NewReader(next), into)) })
	err := r.run()
	if err == nil {
		err = r.out.end()
	}
	if err == nil {
		r.watch.atMost(farewell)
	} else {
		r.watch.end(err)
		r.out.stop()
	}
	heard.Wait()
	stop()
	if cause := r.watch.close(); err != nil && cause != nil {
		err = cause
	}
	return r.total, errors.Join(err, into.Close(err))
}

// run says what there is to say, until all of it was said.
func (r *Receiver) run() error {
	for {
		r.mu.Lock()
		say := r.say
		r.say = nil
		done := r.indexed && len(r.open) == 0
		r.mu.Unlock()
		for _, m := range say {
			r.goes(m)
			if err := r.out.say(m); err != nil {
				return err
			}
		}
		if done {
			return r.out.say(Done(r.total))
		}
		if err := r.out.flush(); err != nil {
			return err
		}
		select {
		case <-r.wake:
		case <-r.out.broke:
			return r.out.failed()
		}
	}
}

// goes takes note that a message is about to be said. The other end tells no more than it may
// by what it has heard; so an entry counts until here, and who does not listen fills no memory.
func (r *Receiver) goes(m Message) {
	n := 0
	switch m := m.(type) {
	case Released:
		n = int(m.Count)
	case Failed:
		n = 1
	default:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsaid -= n
}
