package set

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// SendOptions are those of a sender.
type SendOptions struct {
	// Settled is told what became of each entry, of the argument of that number, unless it
	// is nil. It is called by one goroutine at a time.
	Settled func(argument int, it *Item, o Outcome)
	// Moved is told of bytes of data that went out for an entry; nil: nobody is.
	Moved func(argument int, number uint64, n int)
	// Patience is how long the other end may get nothing on; 0: for ever.
	Patience time.Duration
}

// Totals are what a set came to.
type Totals struct{ Released, Failed uint64 }

// Send says what is listed over the link, and sends what the other end wants of it. It
// returns nil when every entry was settled and both ends know it. It ends with ctx, with
// its cause. The link is closed when it returns an error.
func Send(ctx context.Context, link Records, from Listing, o SendOptions) (Totals, error) {
	s := &sending{from: from, opt: o, out: newSpeaker(link), open: map[uint64]*unsettled{}, wake: newBell(), argument: -1}
	s.watch = newWatch(ctx, s.out, o.Patience, nil)
	var heard sync.WaitGroup
	heard.Go(func() { s.watch.end(s.hear(NewReader(link.ReadRecord))) })
	err := s.run(ctx)
	over := err == nil
	if over {
		s.total.Released, s.total.Failed = s.done.Released, s.done.Failed
		if err = s.out.say(Done(s.total)); err == nil {
			err = s.out.end()
		}
	}
	s.watch.end(err)
	if err != nil {
		s.out.stop()
	}
	heard.Wait()
	cause := s.watch.close()
	switch {
	case over: // the other end is done, whether it hears so of us or not
		return s.total, nil
	case err != nil && cause != nil:
		err = cause
	}
	return s.total, err
}

// sending is the sender of a set. One goroutine speaks, one hears.
type sending struct {
	from  Listing
	opt   SendOptions
	out   *speaker
	watch *watch
	total Totals

	// Of the one that speaks.
	argument int   // the latest one
	ahead    *Item // of the index, that there was no room for
	file     *outgoing
	buf      [dataSize]byte

	wake bell // something has changed below

	mu      sync.Mutex
	open    map[uint64]*unsettled // entries that are neither released nor failed
	held    load                  // of them
	next    uint64                // number of the next entry
	wanted  uint64                // of the first entry that was not asked about
	asked   []asked               // files that are wanted, and have not begun
	indexed bool                  // the whole index is out; the one that speaks sets it
	done    *Done                 // the other end's
}

// unsettled is an entry that is neither released nor failed.
type unsettled struct {
	argument int
	item     Item
	out      bool // all that was wanted of it is out
	Outcome
}

// asked is what is wanted of a file.
type asked struct {
	number uint64
	*unsettled
	have int64
	sum  []byte
}

// run speaks, until the other end is done.
func (s *sending) run(ctx context.Context) error {
	defer func() {
		if s.file != nil {
			_ = s.file.Close()
		}
	}()
	for {
		if err := s.index(); err != nil {
			return err
		}
		worked, err := s.data()
		if err != nil {
			return err
		}
		if worked {
			continue
		}
		if s.finished() {
			return nil
		}
		if err := s.rest(ctx); err != nil && !s.finished() {
			return err
		}
	}
}

// rest says what was to be said, and waits for something to do.
func (s *sending) rest(ctx context.Context) error {
	if err := s.out.flush(); err != nil {
		return err
	}
	select {
	case <-s.wake:
	case <-s.out.broke:
		return s.out.failed()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// finished reports whether the other end is done.
func (s *sending) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done != nil
}

// index says entries, as far as the window allows.
func (s *sending) index() error {
	for !s.indexed {
		if s.ahead == nil {
			it, err := s.from.Next()
			if errors.Is(err, io.EOF) {
				return s.endIndex()
			}
			if err != nil {
				return err
			}
			s.ahead = &it
		}
		if s.ahead.Argument == nil && !s.room(s.ahead) {
			return nil
		}
		if err := s.item(*s.ahead); err != nil {
			return err
		}
		s.ahead = nil
	}
	return nil
}

// endIndex says that there is nothing more.
func (s *sending) endIndex() error {
	s.mu.Lock()
	s.indexed = true
	s.mu.Unlock()
	return s.out.say(Indexed{})
}

// item says an argument or an entry.
func (s *sending) item(it Item) error {
	if it.Argument == nil {
		return s.entry(it)
	}
	s.argument++
	return s.out.say(*it.Argument)
}

// room reports whether another entry may be told.
func (s *sending) room(it *Item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.takes(loadOf(&it.Entry, len(it.Extents)))
}

// entry says an entry, and with it, whether it will come.
func (s *sending) entry(it Item) error {
	it.Entry.Extents, it.Entry.Failed = -1, it.Failed
	if it.Extents != nil {
		it.Entry.Extents = len(it.Extents)
	}
	s.mu.Lock()
	n := s.next
	s.next++
	s.held = s.held.plus(loadOf(&it.Entry, len(it.Extents)))
	s.open[n] = &unsettled{argument: s.argument, item: it, out: it.Entry.Kind != File}
	s.mu.Unlock()
	err := s.out.say(it.Entry)
	for from := 0; err == nil && from < len(it.Extents); from += MaxExtentsEach {
		err = s.out.say(Extents{it.Extents[from:min(from+MaxExtentsEach, len(it.Extents))]})
	}
	return err
}

// fail says that an entry does not come. The other end has the last word.
func (s *sending) fail(n uint64, reason string) error {
	s.mu.Lock()
	if u := s.open[n]; u != nil { // the other end may have failed it meanwhile
		u.item.Entry.Failed = reason
	}
	s.mu.Unlock()
	return s.out.say(Failed{n, reason})
}

// settle takes an entry out. The caller holds s.mu.
func (s *sending) settle(n uint64, u *unsettled) {
	delete(s.open, n)
	s.held = s.held.minus(loadOf(&u.item.Entry, len(u.item.Extents)))
	u.Number = n
	if u.How == 0 {
		s.total.Failed++
	} else {
		s.total.Released++
	}
	if s.opt.Settled != nil {
		s.opt.Settled(u.argument, &u.item, u.Outcome)
	}
	s.wake.ring()
}

// data sends the next piece of a file, and reports whether there was something to send.
func (s *sending) data() (worked bool, err error) {
	if s.file == nil {
		next, ok := s.nextFile()
		if !ok {
			return false, nil
		}
		if err := s.openFile(next); err != nil {
			return true, s.fail(next.number, err.Error())
		}
	}
	s.watch.progress()
	f := s.file
	m, err := f.next()
	if !s.stands(f.number) { // the other end does not want it any more
		m, err = End{Number: f.number}, nil
	}
	if err != nil {
		_ = s.closeFile()
		return true, s.fail(f.number, err.Error())
	}
	switch m := m.(type) {
	case Data:
		if s.opt.Moved != nil {
			s.opt.Moved(f.argument, f.number, len(m.Bytes))
		}
	case End:
		s.mu.Lock()
		f.out = true
		s.mu.Unlock()
		_ = s.closeFile() // it was only read
	}
	return true, s.out.say(m)
}

// openFile opens a file and finds the place to begin at.
func (s *sending) openFile(a asked) error {
	c, err := s.from.Open(&a.item)
	if err != nil {
		return err
	}
	s.file, err = newOutgoing(c, a, s.buf[:])
	if err != nil {
		return errors.Join(err, s.closeFile())
	}
	return nil
}

func (s *sending) closeFile() error {
	err := s.file.Close()
	s.file = nil
	return err
}

// stands reports whether an entry is not settled.
func (s *sending) stands(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[n] != nil
}

// nextFile is the next file that is wanted.
func (s *sending) nextFile() (asked, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.asked) > 0 {
		a := s.asked[0]
		s.asked = s.asked[1:]
		if s.open[a.number] != nil {
			return a, true
		}
	}
	return asked{}, false
}
