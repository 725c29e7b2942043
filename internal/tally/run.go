package tally

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/set"
)

// flushEvery is the pace at which what came of a set is written down and told, and
// progressEvery that of telling how far it has come: at most twice a second.
const (
	flushEvery    = 100 * time.Millisecond
	progressEvery = 5
)

// Run follows a set through one session, at either end: it counts what becomes of its
// entries, writes that down, and tells it.
type Run struct {
	// Ended, unless nil, is told of the end of each argument, after that was reported.
	Ended func(event.Event)

	set  *Set
	row  *journal.Handle
	log  *slog.Logger
	size int64

	writing sync.Mutex

	mu      sync.Mutex
	moved   map[uint64]int64   // bytes of data, of entries that are not settled
	bytes   int64              // that moved, or need not move
	current int                // argument of the latest bytes
	latest  uint64             // entry of them
	dirty   map[int]bool       // arguments that have changed since they were written down
	met     []journal.Argument // that are not written down
	ended   []int

	stop chan struct{}
	done sync.WaitGroup
}

// NewRun begins to follow a set whose row is held. size is the bytes of all its files.
func NewRun(s *Set, row *journal.Handle, log *slog.Logger, size int64) *Run {
	r := &Run{set: s, row: row, log: log, size: size, moved: map[uint64]int64{}, dirty: map[int]bool{}, stop: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.arguments {
		if !a.Over { // each entry is settled in each session
			a.Done, a.Changed, a.Equal, a.Kept, a.Renamed, a.Failed, a.Durable, a.LastError = 0, 0, 0, 0, 0, 0, 0, ""
			a.Begun, a.Moved, a.told = time.Now(), 0, 0
		}
	}
	r.done.Go(r.tick)
	return r
}

// tick writes down and tells, until Close.
func (r *Run) tick() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	last, lastTime := int64(0), time.Now()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-r.stop:
			return
		}
		r.flush()
		if n%progressEvery > 0 {
			continue
		}
		r.mu.Lock()
		bytes, current := r.bytes, r.current
		r.mu.Unlock()
		now := time.Now()
		rate := float64(bytes-last) / now.Sub(lastTime).Seconds()
		last, lastTime = bytes, now
		r.progress(current, bytes, int64(max(rate, 0)))
	}
}

// progress tells how far the set has come, as progress of the argument that is moving: once
// the end of that was told, of the first one that is not over.
func (r *Run) progress(current int, bytes, rate int64) {
	s := r.set
	s.mu.Lock()
	e := event.Progress{Rate: rate, SetBytes: bytes, SetSize: max(r.size, bytes), FilesOf: s.items}
	if s.items == 1 && len(s.arguments) == 1 {
		a := s.arguments[0]
		e.Files, e.FilesOf = int(a.Done+a.Failed), int(a.Entries)
	}
	found := false
	for i, a := range s.arguments {
		if !a.Over && (i == current || !found) {
			e.Head, e.Bytes, e.Size, found = a.Head, min(a.Moved, a.Size), a.Size, true
		}
		if a.Over && s.items > 1 {
			e.Files++
		}
	}
	s.mu.Unlock()
	if found {
		s.book.report(e)
	}
}

// Moved counts bytes of data of an entry.
func (r *Run) Moved(argument int, number uint64, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moved[number] += int64(n)
	r.latest = number
	r.add(argument, int64(n))
}

// add counts bytes of an argument. The caller holds r.mu.
func (r *Run) add(argument int, n int64) {
	r.bytes += n
	r.current = argument
	r.set.Argument(argument, func(a *Argument) { a.Moved += n })
}

// Settled counts an entry.
func (r *Run) Settled(argument int, it *set.Item, o set.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := int64(0)
	for _, x := range set.ExtentsOf(&it.Entry, it.Extents) {
		size += x.Length
	}
	if it.Entry.Kind != set.File {
		size = 0
	}
	root := len(it.Entry.Path) == 0
	if it.Entry.Kind == set.Directory && o.How == set.Changed { // what is in it tells
		o.How = set.Equal
	}
	over := false
	r.set.Argument(argument, func(a *Argument) {
		if over = a.Over; over {
			return
		}
		a.Settled(strings.Join(it.Entry.Path, "/"), o, r.set.report)
		if o.How != 0 {
			a.Durable += size
		}
		if root {
			a.SHA256 = it.Entry.SHA256
			switch {
			case o.How != 0:
				a.State = journal.ArgumentPlaced
			case a.State != journal.ArgumentPlaced: // what came in an earlier session stays
				a.State = journal.ArgumentFailed
			}
		}
	})
	r.add(argument, size-r.moved[o.Number])
	delete(r.moved, o.Number)
	if over {
		return
	}
	r.dirty[argument] = true
	if root {
		r.ended = append(r.ended, argument)
	}
}

// flush writes down what has changed, and then tells of the arguments that have ended.
func (r *Run) flush() {
	r.mu.Lock()
	dirty, ended := r.dirty, r.ended
	r.dirty, r.ended = map[int]bool{}, nil
	r.mu.Unlock()
	if err := r.write(dirty); err != nil { // what is told is so all the same
		r.log.Error("journal", "transfer", r.row.Row().ID, "error", err)
	}
	for _, n := range ended {
		if e := r.set.End(n); e != nil && r.Ended != nil {
			r.Ended(e)
		}
	}
}

// write writes down arguments that have changed, and new ones.
func (r *Run) write(dirty map[int]bool) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	met := r.met
	r.met = nil
	r.mu.Unlock()
	if len(dirty) == 0 && len(met) == 0 {
		return nil
	}
	var changed []journal.Argument
	durable := int64(0)
	r.set.mu.Lock()
	for i, a := range r.set.arguments {
		if durable += a.Durable; dirty[i] {
			changed = append(changed, a.Argument)
		}
	}
	r.set.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), writeTime)
	defer cancel()
	if len(met) > 0 {
		if err := r.row.SetArguments(ctx, met); err != nil {
			return err
		}
	}
	if err := r.row.UpdateArguments(ctx, changed); err != nil {
		return err
	}
	return r.row.Progress(ctx, min(durable, r.row.Row().Size))
}

// Known is an argument as it is known.
func (r *Run) Known(n int) (known journal.Argument) {
	r.set.Argument(n, func(a *Argument) { known = a.Argument })
	return known
}

// Place has f change arguments, and writes them down: what comes next stands on it.
func (r *Run) Place(numbers []int, f func(*journal.Argument)) error {
	dirty := map[int]bool{}
	for _, n := range numbers {
		r.set.Argument(n, func(a *Argument) { f(&a.Argument) })
		dirty[n] = true
	}
	return r.write(dirty)
}

// writeTime bounds one writing down.
const writeTime = 30 * time.Second

// Close writes down and tells the rest. It returns how many bytes need not be sent again.
// Those of a file that was cut are among them where they are kept.
func (r *Run) Close(kept bool) (durable int64) {
	close(r.stop)
	r.done.Wait()
	r.mu.Lock()
	if moved := r.moved[r.latest]; kept && moved > 0 {
		r.set.Argument(r.current, func(a *Argument) { a.Durable += moved })
		r.dirty[r.current] = true
	}
	r.mu.Unlock()
	r.flush()
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	for _, a := range r.set.arguments {
		durable += a.Durable
	}
	return durable
}
