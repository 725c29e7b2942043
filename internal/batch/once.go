// Package batch keeps what is known of the files of one `send` as one. A receiver knows
// which batch `--once` takes, how its files ended, and what the user said to each batch; a
// sender, whose turn it is. The package is told, and decides nothing else.
package batch

import (
	"maps"
	"slices"
	"sync"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
)

const (
	// maxBatches bounds the batches that are remembered.
	maxBatches = 1000
	// maxRefused bounds the files that were refused and are remembered, of all batches of
	// which none is taken yet: a run may wait for weeks. A batch of which some are not
	// remembered is given up when nothing more of it is offered for a while.
	maxRefused = 1 << 16
)

// Key names a batch, or a single file that is in none. The zero value names nothing.
type Key struct {
	from jid.JID // bare
	id   string
}

// KeyOf is the key of a file of a contact: of its batch, or of its transfer when that is "".
func KeyOf(from jid.JID, batch, transfer string) Key {
	if batch == "" {
		batch = transfer
	}
	return Key{from.Bare(), batch}
}

// File is one that was offered.
type File struct {
	Key
	Transfer string
	Count    int // of the files of its batch; 0: it is in none
}

// Once is what a run with --once takes: one batch, which may be a single file. A nil one
// is that of a run that takes everything. It may be used from several goroutines.
type Once struct {
	over    chan exitcode.Code
	changed chan struct{}

	mu      sync.Mutex
	seen    map[Key]*lot // batches of which files were offered
	taken   *lot         // the one that is taken, from its first file on
	refused int          // remembered of those that are not
}

// lot is a batch as far as it came.
type lot struct {
	key   Key
	count int
	came  bool                     // a file that was taken has come to its end
	live  map[string]bool          // transfers that were taken and have not ended
	ended map[string]exitcode.Code // and those that have, or were refused
}

// NewOnce is that of a run that has taken nothing yet.
func NewOnce() *Once {
	return &Once{over: make(chan exitcode.Code, 1), changed: make(chan struct{}, 1), seen: map[Key]*lot{}}
}

// Over holds the code of the whole batch when that has come to its end, once.
func (o *Once) Over() <-chan exitcode.Code {
	if o == nil {
		return nil
	}
	return o.over
}

// Changed holds something when a file of the batch has come to its end.
func (o *Once) Changed() <-chan struct{} {
	if o == nil {
		return nil
	}
	return o.changed
}

// lot is the batch of an offer. The caller holds o.mu.
func (o *Once) lot(f File) *lot {
	l := o.seen[f.Key]
	if l == nil {
		l = &lot{key: f.Key, count: max(f.Count, 1), live: map[string]bool{}, ended: map[string]exitcode.Code{}}
		if len(o.seen) < maxBatches {
			o.seen[f.Key] = l
		}
	}
	return l
}

// Claim makes the batch of the file the one that is taken, if none is, and reports whether
// it is now. undo is for a file that is not taken after all.
func (o *Once) Claim(f File) (ours bool, undo func()) {
	if o == nil {
		return true, func() {}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lot(f)
	if o.taken != nil && o.taken != l {
		return false, nil
	}
	fresh, added := o.taken == nil, !l.live[f.Transfer]
	o.taken, o.seen[f.Key], l.live[f.Transfer] = l, l, true
	return true, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if added {
			delete(l.live, f.Transfer)
		}
		if fresh && len(l.live) == 0 && !l.came {
			o.taken = nil
		}
	}
}

// Admits reports whether a contact can still offer something that would be taken.
func (o *Once) Admits(bare jid.JID) bool {
	return o.free(func(taken Key) bool { return taken.from == bare })
}

// Open reports whether the files of a batch can still be taken.
func (o *Once) Open(k Key) bool { return o.free(func(taken Key) bool { return taken == k }) }

// free reports whether no batch is taken, or one that is meant.
func (o *Once) free(meant func(Key) bool) bool {
	if o == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken == nil || meant(o.taken.key)
}

// WaitsFor reports whether the batch is the one that is waited for.
func (o *Once) WaitsFor(k Key) bool {
	if o == nil {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken != nil && o.taken.key == k
}

// Missed notes that a file of a batch was refused, or withdrawn before it was taken. A
// file that is in no batch, or of none that is known, leaves no trace.
func (o *Once) Missed(f File, code exitcode.Code) {
	if o == nil || f.Count == 0 || f.Key == (Key{}) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lot(f)
	if _, known := l.ended[f.Transfer]; !known && l != o.taken {
		if o.refused == maxRefused {
			return
		}
		o.refused++
	}
	l.ended[f.Transfer] = code
	o.settle(l)
}

// End tells how a transfer that was taken has ended. One that has while nothing is taken
// is a release that a crash had cut: it is one that has arrived.
func (o *Once) End(transfer string, code exitcode.Code) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.taken
	switch {
	case l == nil:
		o.finish(code)
		return
	case !l.live[transfer]: // of another batch
		return
	}
	delete(l.live, transfer)
	l.came, l.ended[transfer] = true, code
	o.settle(l)
}

// settle ends the run when the batch that was taken has come to its end. The caller holds
// o.mu.
func (o *Once) settle(l *lot) {
	if l != o.taken {
		return
	}
	if len(l.live) == 0 && len(l.ended) >= l.count {
		o.finish(l.code())
	}
	select {
	case o.changed <- struct{}{}:
	default: // it is looked at anyway
	}
}

// finish ends the run, unless its end has been told.
func (o *Once) finish(code exitcode.Code) {
	select {
	case o.over <- code:
	default:
	}
}

// code is that of the files that have ended, and of others.
func (l *lot) code(also ...exitcode.Code) exitcode.Code {
	return exitcode.Combine(slices.AppendSeq(also, maps.Values(l.ended))...)
}

// Lacks is how many files of the batch that is taken have not been offered; 0 while one of
// it is under way.
func (o *Once) Lacks() int {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.taken; l != nil && len(l.live) == 0 {
		return l.count - len(l.ended)
	}
	return 0
}

// GiveUp is what a batch that lacks files comes to: how many it has, and the code.
func (o *Once) GiveUp() (count int, code exitcode.Code) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken.count, o.taken.code(exitcode.Interrupted)
}
