// Package actors has what is about one thing done by one actor: a goroutine that begins with
// the first that it is told, hears one thing after the other, and leaves when there is
// nothing more to hear.
package actors

import "sync"

// Table holds the actors of a run, by what each is about. The zero value has none, and
// takes some until Close.
type Table[K comparable, T any] struct {
	mu      sync.Mutex
	of      map[K]*Mailbox[K, T]
	closed  bool
	running sync.WaitGroup
}

// Mailbox is what one actor has been told and has not heard.
type Mailbox[K comparable, T any] struct {
	// Key is what the actor is about.
	Key K

	table *Table[K, T]
	told  []T // under the lock of table
	wake  chan struct{}
}

// Tell tells the actor of a key something. Without one it has begin make one, which runs
// until what that returns does, unless begin is nil; whether there was one to be told is
// reported.
func (t *Table[K, T]) Tell(key K, what T, begin func(*Mailbox[K, T]) (run func())) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.of[key]
	if b == nil {
		if begin == nil || t.closed {
			return false
		}
		if t.of == nil {
			t.of = map[K]*Mailbox[K, T]{}
		}
		b = &Mailbox[K, T]{Key: key, table: t, wake: make(chan struct{}, 1)}
		t.of[key] = b
		t.running.Go(begin(b))
	}
	b.told = append(b.told, what)
	b.more()
	return true
}

// Len is how many actors there are.
func (t *Table[K, T]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.of)
}

// Close waits for the actors, which have been told to end; there is none from then on.
func (t *Table[K, T]) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.running.Wait()
}

// Wake says that there may be something to hear.
func (b *Mailbox[K, T]) Wake() <-chan struct{} { return b.wake }

// Hear takes the oldest thing that the actor was told.
func (b *Mailbox[K, T]) Hear() (what T, ok bool) {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	if len(b.told) == 0 {
		return what, false
	}
	what = b.told[0]
	b.told = b.told[1:]
	if len(b.told) > 0 {
		b.more()
	}
	return what, true
}

// Leave takes the actor out of the table, unless it has been told something. It ends then.
func (b *Mailbox[K, T]) Leave() bool {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	if len(b.told) > 0 {
		return false
	}
	delete(b.table.of, b.Key)
	return true
}

// more says that there is something to hear. The caller holds the lock of the table.
func (b *Mailbox[K, T]) more() {
	select {
	case b.wake <- struct{}{}:
	default: // it looks anyway
	}
}
