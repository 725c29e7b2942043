// Package percontact keeps an account for each contact, of a bounded number of them.
package percontact

import (
	"maps"
	"sync"

	"jetsend/internal/jid"
)

// Table has one account for each contact, and one that all beyond its limit share. The
// zero value is empty. It may be used from several goroutines.
type Table[T any] struct {
	mu     sync.Mutex
	of     map[jid.JID]*T
	others *T
}

// Account returns that of a contact; fresh makes one that is missing. Where there are
// limit of them, those that are idle, and so like a new one, are forgotten first; nil
// forgets none.
func (t *Table[T]) Account(of jid.JID, limit int, fresh func() *T, idle func(*T) bool) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.of[of]; a != nil {
		return a
	}
	if len(t.of) >= limit && idle != nil {
		maps.DeleteFunc(t.of, func(_ jid.JID, a *T) bool { return idle(a) })
	}
	switch {
	case len(t.of) < limit:
		if t.of == nil {
			t.of = map[jid.JID]*T{}
		}
		t.of[of] = fresh()
		return t.of[of]
	case t.others == nil:
		t.others = fresh()
	}
	return t.others
}

// Len returns how many contacts have an account of their own.
func (t *Table[T]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.of)
}
