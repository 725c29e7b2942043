package set

import (
	"sync"
)

// recordsBehind is how many records may have been read that are not dealt with.
const recordsBehind = 4

// readAhead has a goroutine read records, and returns what gives the next one, which is
// valid until the call after. stop waits for the goroutine: after the end of the records, or
// once the link is closed.
func readAhead(link Records) (next func() ([]byte, error), stop func()) {
	full, empty, enough := make(chan record, recordsBehind), make(chan []byte, recordsBehind), make(chan struct{})
	for range cap(empty) {
		empty <- make([]byte, 0, recordSize)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			p, err := link.ReadRecord()
			select {
			case b := <-empty:
				full <- record{append(b, p...), err} // never blocks: as many places as buffers
			case <-enough:
				return
			}
			if err != nil {
				return
			}
		}
	})
	var last record
	next = func() ([]byte, error) {
		if last.err != nil {
			return nil, last.err
		}
		if last.p != nil {
			empty <- last.p[:0]
		}
		last = <-full
		return last.p, last.err
	}
	return next, func() { close(enough); reading.Wait() }
}

// record is one that was read, or why there is none.
type record struct {
	p   []byte
	err error
}

// hear hears the sender, to its last word.
func (r *Receiver) hear(from *Reader, into Target) error {
	return r.watch.hear(from, r.over, func(m Message) error { return r.take(m, from, into) })
}

// over reports whether every entry was settled.
func (r *Receiver) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.indexed && len(r.open) == 0
}

// take takes one message.
func (r *Receiver) take(m Message, from *Reader, into Target) error {
	switch m := m.(type) {
	case Argument, Entry, Indexed:
		if r.indexed { // only this goroutine sets it
			return Refuse("%T behind the index", m)
		}
		return r.index(m, from, into)
	case Data:
		open, err := r.head(m.Number)
		if err != nil || !open {
			return err
		}
		if r.opt.Moved != nil {
			r.opt.Moved(m.Number, len(m.Bytes))
		}
		return into.Write(m.Number, m.Offset, m.Bytes)
	case End:
		open, err := r.head(m.Number)
		if err != nil {
			return err
		}
		if r.awaited = r.awaited[1:]; open {
			err = into.End(m.Number, m.SHA256)
		}
		return err
	case Failed:
		return r.failed(m, into)
	case Done:
		if !r.over() || m != Done(r.total) {
			return Refuse("done with %d released and %d failed", m.Released, m.Failed)
		}
		return nil
	}
	return Refuse("%T of a sender", m)
}

// index takes the next message of the index.
func (r *Receiver) index(m Message, from *Reader, into Target) error {
	switch m := m.(type) {
	case Argument:
		if r.arguments == r.opt.Arguments {
			return Refuse("more than the %d arguments that were offered", r.arguments)
		}
		r.arguments++
		return into.Argument(r.arguments-1, m)
	case Entry:
		return r.entry(m, from, into)
	}
	err := into.Indexed()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.indexed = true
	r.wake.ring()
	return err
}

// entry takes the next entry, with its extents.
func (r *Receiver) entry(e Entry, from *Reader, into Target) error {
	if r.arguments == 0 {
		return Refuse("an entry of no argument")
	}
	var all []Extent
	for len(all) < e.Extents {
		m, err := from.Read()
		if err != nil {
			return ended(err)
		}
		x, is := m.(Extents)
		if last := len(all) - 1; !is || len(all)+len(x.List) > e.Extents || last >= 0 && x.List[0].Offset <= all[last].Offset+all[last].Length {
			return Refuse("extents of an entry that has %d", e.Extents)
		}
		all = append(all, x.List...)
	}
	n, err := r.begin(loadOf(&e, len(all)))
	if err != nil {
		return err
	}
	w, err := into.Entry(n, e, all)
	if err != nil {
		return err
	}
	w.First, w.Count = n, 1
	if e.Kind == File && !w.Nothing && e.Failed == "" {
		r.awaited = append(r.awaited, n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.want(w)
	r.deciding = false
	if early := r.early; early != nil {
		r.early = nil
		r.settle(*early)
	}
	r.wake.ring()
	return nil
}

// begin takes the next entry in, which is decided about then.
func (r *Receiver) begin(l load) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.next == r.opt.Entries:
		return 0, Refuse("more than the %d entries that were offered", r.next)
	case len(r.open)+r.unsaid >= Window || !r.held.takes(l):
		return 0, Refuse("more than %d entries, %d extents, or %d bytes of names, ahead", Window, MaxExtents, MaxNames)
	}
	n := r.next
	r.next++
	r.open[n] = l
	r.held = r.held.plus(l)
	r.deciding = true
	return n, nil
}

// head sees that a message is about the first file that was wanted, and reports whether
// that is still wanted. What has failed here may never come.
func (r *Receiver) head(n uint64) (open bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.awaited) > 0 && r.awaited[0] != n && !r.isOpen(r.awaited[0]) {
		r.awaited = r.awaited[1:]
	}
	if len(r.awaited) == 0 || r.awaited[0] != n {
		return false, Refuse("data of entry %d out of its order", n)
	}
	return r.isOpen(n), nil
}

func (r *Receiver) isOpen(n uint64) bool {
	_, open := r.open[n]
	return open
}

// failed takes that the sender has not got a file: the one whose turn it is.
func (r *Receiver) failed(m Failed, into Target) error {
	open, err := r.head(m.Number)
	if err != nil {
		return err
	}
	if r.awaited = r.awaited[1:]; open {
		into.Fail(m.Number, m.Reason)
	}
	return nil
}
