package tree

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"jetsend/internal/set"
)

// plan is what is to be done for an entry.
type plan int

const (
	planNone    plan = iota // it failed, or there is nothing to do
	planEqual               // it is there
	planDate                // it is there, with another mode or time
	planNew                 // it gets a name that is free
	planReplace             // it takes the place of what a set had put there
	planAside               // what is there gets another name first
)

// state says how far an entry has come.
type state int

const (
	waiting    state = iota // for data, or to be synced
	ready                   // for the committer
	failing                 // it came to nothing
	unfinished              // the session ended before
)

// item is an entry of the index.
type item struct {
	number uint64
	arg    *argument
	in     *node // directory that it is in; nil for a root
	self   *node // that it is
	key    string
	name   string // last name, as it was sent; of a root, a safe one

	kind    set.Kind
	size    int64
	mtime   time.Time
	mode    fs.FileMode
	target  string
	sparse  bool
	extents []set.Extent
	word    string // of the sender, why it or something in it fails
	digest  []byte // SHA-256 of the content, where the sender says it

	plan  plan
	how   set.How
	local string // last name here
	seen  facts  // what had that name
	match *line  // of the record, if it says the same
	names names  // that it can get

	// Of a file: its data.
	f       *os.File
	temp    string       // its name as long as it has none
	left    []set.Extent // with data that is to come
	at      int64        // bytes of the first of them that are here
	begun   bool         // some came in this session
	held    []byte       // of what came, at most so many bytes as are gathered: not in the file yet
	heldAt  int64        // where that goes
	have    int64        // bytes of an earlier session
	sum     *set.Sum     // of what is here, where it is put together
	is      facts        // when it is synced
	noted   bool         // a descriptor says that it can be resumed
	ended   bool         // all its data is here
	state   state        // under Target.mu
	reason  string       // why it failed; under Target.mu
	settled bool         // under Target.mu
	renamed string
	kept    string
}

// node is a directory on the path of the moment, or with something in it that is not
// settled.
type node struct {
	*item
	parent  *node // nil for the root of a folder
	depth   int
	fresh   bool        // it was not there when it was looked for
	broken  string      // why nothing can be put into it: of the goroutine that looks
	old     fs.FileMode // permissions that it had
	widened bool        // it got more of them, to be used

	// Of the committer.
	lost   string          // why it could not be made
	dirty  bool            // something in it was not synced
	given  map[uint64]bool // names, by their hash, that took the place of others
	listed listed
	seenBy listed // the same, of the goroutine that looks
}

// step is something for the committer to do, in the order of the index.
type step struct {
	what what
	it   *item
}

type what int

const (
	putEntry what = iota
	endDirectory
	endArgument
	leaveDirectory // of a session that was cut
	leaveArgument
)

// close closes what it has open, and leaves it.
func (it *item) close() error {
	if it.f == nil {
		return nil
	}
	err := it.f.Close()
	it.f = nil
	return err
}

// discard throws its data away.
func (it *item) discard() error {
	err := it.close()
	if it.temp != "" {
		if rerr := it.arg.room.hide.remove(it.temp); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	it.temp, it.have, it.sum, it.noted, it.held = "", 0, nil, false, nil
	it.left, it.at = it.extents, 0
	return err
}

// push hands a step to the committer.
func (t *Target) push(s *step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, s)
	t.wake.Broadcast()
}

// ready says that an entry can be put into its place.
func (t *Target) ready(it *item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if it.state == waiting {
		it.state = ready
	}
	t.wake.Broadcast()
}

// lose ends an entry that comes to nothing.
func (t *Target) lose(it *item, why string) {
	t.mu.Lock()
	if it.state < failing {
		it.state, it.reason = failing, why
	}
	t.wake.Broadcast()
	t.mu.Unlock()
	t.settle(it)
}

// settle tells what became of an entry, once.
func (t *Target) settle(it *item) {
	t.mu.Lock()
	o := set.Outcome{Number: it.number, How: it.how, Renamed: it.renamed, Kept: it.kept}
	if it.state == failing {
		o.How, o.Reason = 0, it.reason
	}
	if a := &it.arg.arrival; it.in == nil && o.How == set.Equal && a.New+a.Changed > 0 {
		o.How = set.Changed // a folder, of what is in it
	}
	again := it.settled
	it.settled = true
	if !again {
		it.arg.arrival.count(o)
		delete(t.open, it.number)
	}
	t.mu.Unlock()
	if !again && t.cfg.Settled != nil {
		t.cfg.Settled(o)
	}
}
