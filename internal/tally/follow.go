package tally

import (
	"jetsend/internal/journal"
	"jetsend/internal/set"
)

// Followed is a target of which a run knows what it is told and what becomes of that.
type Followed struct {
	set.Target
	Run  *Run
	next func(set.Outcome)
	// Hold, unless nil, is asked before about each argument, whether it is what was agreed to.
	Hold func(number int, a set.Argument) error

	argument int
	folder   bool             // it is said to be one
	entries  map[uint64]entry // that are not settled; under the lock of the run
}

// entry is one of an argument.
type entry struct {
	argument int
	item     set.Item
	have     int64 // bytes of it that are here, and counted as moved
}

// Follow has the run follow a set into its target, which is to tell Settled what becomes of
// it; next is told after the run. The target is set before it is used.
func (r *Run) Follow(next func(set.Outcome)) *Followed {
	return &Followed{Run: r, next: next, argument: -1, entries: map[uint64]entry{}}
}

// Argument implements [set.Target].
func (f *Followed) Argument(number int, a set.Argument) error {
	if f.Hold != nil {
		if err := f.Hold(number, a); err != nil {
			return err
		}
	}
	f.argument, f.folder = number, len(a.Folder) > 0
	f.Run.meet(journal.Argument{Number: number, Name: a.Name, Folder: len(a.Folder) > 0, Size: a.Bytes, Entries: int64(a.Entries)})
	return f.Target.Argument(number, a)
}

// Entry implements [set.Target].
func (f *Followed) Entry(n uint64, e set.Entry, x []set.Extent) (set.Want, error) {
	if len(e.Path) == 0 && f.folder != (e.Kind == set.Directory) {
		return set.Want{}, set.Refuse("an argument that is not the folder, or the file, that was said")
	}
	f.Run.mu.Lock()
	f.entries[n] = entry{argument: f.argument, item: set.Item{Entry: e, Extents: x}}
	f.Run.mu.Unlock()
	w, err := f.Target.Entry(n, e, x)
	if err == nil && w.Have > 0 {
		f.keeps(n, w.Have)
	}
	return w, err
}

// Write implements [set.Target]. A sender whose file begins otherwise sends all of it.
func (f *Followed) Write(n uint64, offset int64, b []byte) error {
	f.Run.mu.Lock()
	again := offset < f.entries[n].have
	f.Run.mu.Unlock()
	if again {
		f.keeps(n, 0)
	}
	return f.Target.Write(n, offset, b)
}

// keeps counts so many bytes of an entry as moved that are here from an earlier session.
func (f *Followed) keeps(n uint64, have int64) {
	f.Run.mu.Lock()
	defer f.Run.mu.Unlock()
	e, known := f.entries[n]
	if !known {
		return
	}
	more := have - e.have
	e.have = have
	f.entries[n] = e
	f.Run.moved[n] += more
	f.Run.latest = n
	f.Run.add(e.argument, more)
}

// Settled tells the run, and then who is next.
func (f *Followed) Settled(o set.Outcome) {
	f.Run.mu.Lock()
	e, known := f.entries[o.Number]
	delete(f.entries, o.Number)
	f.Run.mu.Unlock()
	if known {
		f.Run.Settled(e.argument, &e.item, o)
	}
	f.next(o)
}

// Moved counts bytes of an entry.
func (f *Followed) Moved(number uint64, n int) {
	f.Run.mu.Lock()
	e, known := f.entries[number]
	f.Run.mu.Unlock()
	if known {
		f.Run.Moved(e.argument, number, n)
	}
}

// meet takes what an index says of an argument.
func (r *Run) meet(a journal.Argument) {
	r.set.Meet(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set.Argument(a.Number, func(of *Argument) {
		if !of.Over {
			r.met = append(r.met, a)
		}
	})
}
