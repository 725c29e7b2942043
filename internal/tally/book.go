package tally

import (
	"fmt"
	"strings"
	"sync"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
)

// Book has the sets of an endpoint that have not ended in this run. It may be used from
// several goroutines.
type Book struct {
	report func(event.Event)
	load   func(journal.Key) []journal.Argument

	mu   sync.Mutex
	open map[page]*Set
}

// page is where a set is found: another contact's set is another one, whatever its id.
type page struct {
	journal.Key
	peer string // bare
}

func pageOf(head event.Head) page {
	bare, _, _ := strings.Cut(head.Peer, "/")
	return page{journal.Key{ID: head.Set, Direction: journal.Direction(head.Direction)}, bare}
}

// NewBook makes an empty book. What is said goes to report; load is asked for the
// arguments of a set that is not in the book.
func NewBook(report func(event.Event), load func(journal.Key) []journal.Argument) *Book {
	return &Book{report: report, load: load, open: map[page]*Set{}}
}

// Set is a set in the book.
type Set struct {
	book *Book
	key  page

	items int

	mu        sync.Mutex
	head      event.Head
	text      string      // what the sender says about it; when receiving, cleaned
	arguments []*Argument // the first ones of all
	left      int         // that have not ended
	codes     []exitcode.Code
	said      int // warnings
}

// Open has a set in the book: the one that is in it, or a new one of so many arguments. The
// first ones of them are known. head is that of the whole set.
func (b *Book) Open(head event.Head, items int, arguments []journal.Argument) *Set {
	key := pageOf(head)
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.open[key]; s != nil {
		s.meet(head, arguments)
		return s
	}
	s := &Set{book: b, key: key, items: items, head: head, left: items}
	for _, a := range arguments {
		s.add(a)
	}
	if s.left == 0 && key.Direction == journal.Send { // who sends what has arrived hears that it has
		s.left = items
		for _, a := range s.arguments {
			a.Over = false
		}
	}
	if s.left > 0 {
		b.open[key] = s
	}
	return s
}

// add adds the next argument.
func (s *Set) add(a journal.Argument) {
	// What has failed may come in another session, and of what a crash has kept from being
	// counted nobody has been told.
	over := a.State == journal.ArgumentPlaced && a.Done+a.Failed >= a.Entries
	s.arguments = append(s.arguments, &Argument{Argument: a, Head: HeadOf(s.head, s.items, &a), Over: over})
	if over {
		s.left--
	}
}

// Meet takes what the other end says of an argument, the next one or one that is known. A
// new one is reported as one that is offered and accepted.
func (s *Set) Meet(a journal.Argument) {
	s.mu.Lock()
	met := a.Number == len(s.arguments)
	if met {
		s.add(a)
	}
	of := s.arguments[a.Number]
	if !of.Over { // what has been told stays
		of.Folder, of.Size, of.Entries = a.Folder, a.Size, a.Entries
	}
	head, text := of.Head, s.text
	s.mu.Unlock()
	if met {
		s.book.report(event.Offer{Head: head, Size: a.Size, Directory: a.Folder, Items: s.items, Description: text})
		s.book.report(event.Accepted{Head: head})
	}
}

// Describe says what the sender says about the set.
func (s *Set) Describe(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

// Name is that of an argument that is known, else "".
func (s *Set) Name(number int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number >= len(s.arguments) {
		return ""
	}
	return s.arguments[number].Name
}

// meet takes note of the peer of the session of the moment, and of what the arguments are now.
func (s *Set) meet(head event.Head, now []journal.Argument) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head.Peer = head.Peer
	for _, a := range s.arguments {
		a.Head.Peer = head.Peer
		if a.Number < len(now) && !a.Over {
			a.Folder, a.Size, a.Entries = now[a.Number].Folder, now[a.Number].Size, now[a.Number].Entries
		}
	}
}

// Report reports an event. One about a whole set is told of each of its arguments that
// have not ended.
func (b *Book) Report(e event.Event) {
	head, of := event.Of(e)
	if !of || head.Set == "" || head.Transfer != head.Set || ofArgument(e) {
		b.report(e)
		return
	}
	key := pageOf(head)
	b.mu.Lock()
	s := b.open[key]
	b.mu.Unlock()
	good := false
	switch e.(type) {
	case event.Sent, event.Received:
		good = true
	}
	switch {
	case good && s != nil: // somebody else has brought it there
		s.learn(b.load(key.Key))
	case good:
		known := b.load(key.Key)
		for _, a := range known {
			b.report((&Argument{Argument: a, Head: HeadOf(head, len(known), &a)}).End())
		}
	case s == nil:
		known := b.load(key.Key)
		if len(known) == 0 { // it had not come to its arguments, and is told of itself
			b.report(e)
			return
		}
		s = b.Open(head, len(known), known)
		fallthrough
	default:
		s.tell(e, head)
	}
}

// ofArgument reports whether an event is about one argument, whatever its transfer is
// called: that of a set of one argument is called as the set.
func ofArgument(e event.Event) bool {
	switch e.(type) {
	case event.Hook, event.Entry, event.Progress:
		return true
	}
	return false
}

// learn reports the ends of the arguments that have not ended in this run, as the journal
// has them.
func (s *Set) learn(known []journal.Argument) {
	for i, a := range known {
		s.Argument(i, func(of *Argument) {
			if !of.Over {
				of.Argument = a
			}
		})
		s.End(i)
	}
}

// Arrived reports the ends of the arguments that have not ended, of a set that is over by
// the word of the receiver alone: so many entries of it have failed, nobody says which.
func (s *Set) Arrived(failed int64) (arguments []journal.Argument) {
	for i := range s.arguments {
		s.Argument(i, func(a *Argument) {
			if a.Over {
				return
			}
			if a.State != journal.ArgumentPlaced || a.Done+a.Failed < a.Entries {
				a.State, a.Done, a.Failed = journal.ArgumentPlaced, a.Entries, failed
				if failed > 0 {
					a.Done = max(a.Entries-failed, 0)
				}
			}
			arguments = append(arguments, a.Argument)
		})
		s.End(i)
	}
	return arguments
}

// tell tells an event of each argument that has not ended.
func (s *Set) tell(e event.Event, head event.Head) {
	failed, end := e.(event.Failed)
	s.mu.Lock()
	var all []event.Event
	for _, a := range s.arguments {
		if _, goesOn := e.(event.Resumed); a.Over || goesOn && a.Durable == 0 {
			continue
		}
		a.Head.Peer = head.Peer
		all = append(all, event.For(a.own(e, s.items), a.Head))
		if end {
			a.Over = true
			s.codes = append(s.codes, exitcode.Code(failed.Code))
		}
	}
	if end {
		s.left = 0
	}
	s.mu.Unlock()
	for _, e := range all {
		s.book.report(e)
	}
	if end {
		s.close()
	}
}

// own is an event about the set with what is different for the argument.
func (a *Argument) own(e event.Event, items int) event.Event {
	switch e := e.(type) {
	case event.Offer:
		e.SetSize, e.Size, e.ResumedFrom, e.Directory, e.Items = e.Size, a.Size, a.Durable, a.Folder, items
		return e
	case event.Resumed:
		e.Offset = a.Durable
		return e
	case event.Interrupted:
		e.Bytes = max(a.Durable, min(a.Moved, a.Size))
		return e
	}
	return e
}

// Argument has f look at an argument, alone.
func (s *Set) Argument(n int, f func(*Argument)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.arguments[n])
}

// End reports the end of an argument whose entries are settled, once.
func (s *Set) End(n int) (e event.Event) {
	s.mu.Lock()
	if a := s.arguments[n]; !a.Over {
		a.Over = true
		s.left--
		s.codes = append(s.codes, a.Code())
		e = a.End()
		if of, is := e.(event.Received); is {
			of.Description = s.text
			e = of
		}
	}
	left := s.left
	s.mu.Unlock()
	if e != nil {
		s.book.report(e)
	}
	if left == 0 {
		s.close()
	}
	return e
}

// Ended reports whether the end of every argument was told.
func (s *Set) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left == 0
}

// maxSaid bounds what people are told of single entries that have arrived.
const maxSaid = 10

// report reports what an entry brings about. The caller holds s.mu.
func (s *Set) report(e event.Event) {
	if _, is := e.(event.Warning); is {
		if s.said++; s.said > maxSaid {
			return
		}
	}
	s.book.report(e)
}

// sum says how many entries there is more to say of, once.
func (s *Set) sum() {
	s.mu.Lock()
	more := s.said - maxSaid
	s.said = 0
	s.mu.Unlock()
	if more > 0 {
		s.book.report(event.Warning{Text: fmt.Sprintf("%s: %d more have other names at the receiver", clean.Text(s.head.Name), more)})
	}
}

// close takes the set out of the book.
func (s *Set) close() {
	s.sum()
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	delete(s.book.open, s.key)
}

// Code is how the set has ended, of those arguments that have in this run.
func (s *Set) Code() exitcode.Code {
	s.mu.Lock()
	defer s.mu.Unlock()
	return exitcode.Combine(s.codes...)
}

// CodeOf is how a set has ended whose arguments came to that.
func CodeOf(arguments []journal.Argument) exitcode.Code {
	code := exitcode.OK
	for _, a := range arguments {
		code = exitcode.Combine(code, (&Argument{Argument: a}).Code())
	}
	return code
}
