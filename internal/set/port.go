package set

import "io"

// Window is how many entries may be unsettled at a time: told by the index, and neither
// released nor failed. It bounds what both ends hold in memory of a set.
const Window = 4096

// MaxNames is how many bytes of names and targets these entries have at most, unless it is
// one alone.
const MaxNames = 4 << 20

// load is what entries are in memory, that are not settled.
type load struct{ entries, extents, names int }

// loadOf is that of one entry, of so many extents.
func loadOf(e *Entry, extents int) load {
	names := len(e.Target)
	for _, name := range e.Path {
		names += len(name) + 1
	}
	return load{1, extents, names}
}

func (l load) plus(o load) load {
	return load{l.entries + o.entries, l.extents + o.extents, l.names + o.names}
}

func (l load) minus(o load) load {
	return load{l.entries - o.entries, l.extents - o.extents, l.names - o.names}
}

// takes reports whether another entry may be told.
func (l load) takes(o load) bool {
	all := l.plus(o)
	return l.entries == 0 || all.entries <= Window && all.extents <= MaxExtents && all.names <= MaxNames
}

// Listing is what a sender says of its files, in the order of the index.
type Listing interface {
	// Next returns the next item, [io.EOF] after the last one.
	Next() (Item, error)
	// Open opens the file of an entry that Next has returned. An error fails the entry
	// alone, and its text is the reason that the other end is told.
	Open(*Item) (Content, error)
}

// Item is an argument or an entry of an index.
type Item struct {
	Argument *Argument // which begins here; nil for an entry
	Entry    Entry
	Extents  []Extent // of a sparse file, not nil if it is nothing but a hole; nil of any other
	Failed   string   // why the entry will not come, as far as that is known before; "" for most
	Origin   any      // the Listing's own: where it finds the file again
}

// Content is that of a file, as it was listed. Errors are reasons, as those of
// [Listing].
type Content interface {
	io.ReaderAt
	io.Closer
	// Unchanged is asked behind the last byte that was read.
	Unchanged() error
}

// Target is where a receiver puts a set. Its methods are called by one goroutine. An error
// of one of them ends the session; what concerns one entry alone is an [Outcome].
type Target interface {
	// Argument begins the next argument, from number 0 on.
	Argument(number int, a Argument) error
	// Entry takes the next entry of the index, and says what is wanted of it; First and
	// Count are for the caller. Whatever an index could say is checked here.
	Entry(number uint64, e Entry, x []Extent) (Want, error)
	// Write takes bytes of the first file that is wanted and has neither ended nor failed.
	Write(number uint64, offset int64, b []byte) error
	// End says that all of it came. sum, of a file that was put together, is the SHA-256 of
	// the whole.
	End(number uint64, sum []byte) error
	// Fail says that the sender has not got an entry that is wanted; reason is its word.
	Fail(number uint64, reason string)
	// Indexed says that there is no further entry.
	Indexed() error
	// Close ends it, and waits for what is under way. A file that was cut is kept for a
	// later session. cause is nil when every entry was settled.
	Close(cause error) error
}

// Outcome is what became of an entry at the receiver. A [Target] tells that once of every
// entry, from any goroutine.
type Outcome struct {
	Number  uint64
	How     How    // 0: it failed
	Reason  string // of a failure
	Renamed string // its last name, if that is another one here
	Kept    string // what somebody had changed is kept under this name
}

// Refuse is the error of a message that no honest jetsend sends, though it is well formed.
func Refuse(format string, args ...any) error { return malformed(format, args...) }
