package set

import (
	"cmp"
	"slices"
)

// hear hears the receiver. It never waits for the one that speaks, so that neither end can
// keep the other from speaking. It returns nil behind the other end's last word.
func (s *sending) hear(r *Reader) error { return s.watch.hear(r, s.finished, s.take) }

// take takes one message.
func (s *sending) take(m Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		return Refuse("%T behind the end", m)
	}
	defer s.wake.ring()
	switch m := m.(type) {
	case Want:
		return s.want(m)
	case Released:
		return s.released(m)
	case Failed:
		u, err := s.settled(m.Number)
		if err == nil {
			u.How, u.Reason = 0, cmp.Or(u.item.Entry.Failed, m.Reason)
			s.settle(m.Number, u)
		}
		return err
	case Renamed:
		return s.named(m.Number, m.Name, func(u *unsettled) *string { return &u.Renamed })
	case Kept:
		return s.named(m.Number, m.Name, func(u *unsettled) *string { return &u.Kept })
	case Done:
		if !s.indexed || len(s.open) > 0 || m != Done(s.total) {
			return Refuse("done with %d released and %d failed, of %d and %d, and %d entries left", m.Released, m.Failed, s.total.Released, s.total.Failed, len(s.open))
		}
		s.done = &m
		return nil
	}
	return Refuse("%T of a receiver", m)
}

// want takes what is wanted of entries, in their order.
func (s *sending) want(m Want) error {
	if m.First != s.wanted || m.Count > s.next-m.First {
		return Refuse("%d entries from %d are wanted, of %d, after %d", m.Count, m.First, s.next, s.wanted)
	}
	s.wanted += m.Count
	if len(s.asked) > 2*Window { // most are settled: no more than Window can be open
		s.asked = slices.DeleteFunc(s.asked, func(a asked) bool { return s.open[a.number] == nil })
	}
	for n := m.First; n < s.wanted; n++ {
		u := s.open[n] // nobody has come to a word about it before it was asked for
		if m.Nothing {
			u.out = true
		}
		if m.Nothing || u.item.Entry.Kind != File || u.item.Failed != "" {
			continue
		}
		if m.Have > u.item.Entry.Size {
			return Refuse("the rest of a file of %d bytes behind %d", u.item.Entry.Size, m.Have)
		}
		s.asked = append(s.asked, asked{number: n, unsettled: u, have: m.Have, sum: m.SHA256})
	}
	return nil
}

// named takes a name that the other end tells of an entry, once: saying it again and again
// would count as getting on.
func (s *sending) named(n uint64, name string, of func(*unsettled) *string) error {
	u, err := s.settled(n)
	if err != nil {
		return err
	}
	known := of(u)
	if *known != "" {
		return Refuse("another name of entry %d", n)
	}
	*known = name
	return nil
}

// settled is an entry that the other end has come to a word about.
func (s *sending) settled(n uint64) (*unsettled, error) {
	u := s.open[n]
	if u == nil || n >= s.wanted {
		return nil, Refuse("a word about entry %d, of %d", n, s.wanted)
	}
	return u, nil
}

// released takes a run of entries that are in their place.
func (s *sending) released(m Released) error {
	if m.Count > Window {
		return Refuse("%d entries are released", m.Count)
	}
	for n := m.First; n < m.First+m.Count; n++ {
		u, err := s.settled(n)
		if err == nil && (!u.out || u.item.Entry.Failed != "") {
			err = Refuse("entry %d is released, which is not out", n)
		}
		if err != nil {
			return err
		}
		u.How = m.How
		s.settle(n, u)
	}
	return nil
}
