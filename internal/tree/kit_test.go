package tree

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

const setID = "0a3c0000-0000-4000-8000-000000000001"

var (
	epoch    = time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC)
	folderID = bytes.Repeat([]byte{7}, set.FolderSize)
	errCut   = errors.New("cut")
)

// book is a ledger in memory. It outlives sessions.
type book struct {
	mu      sync.Mutex
	placing map[int]Placement
	placed  map[int]Placement
	folders map[string]Place
	fail    func(what string) error
}

func newBook() *book {
	return &book{placing: map[int]Placement{}, placed: map[int]Placement{}, folders: map[string]Place{}, fail: func(string) error { return nil }}
}

func (b *book) Interrupted() (all []Placement, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.placing)), nil
}

func (b *book) Argument(n int) (Place, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.placed[n]
	return p.Place, ok, nil
}

func (b *book) Placing(ps []Placement) error {
	if err := b.fail("placing"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range ps {
		b.placing[p.Argument] = p
	}
	return nil
}

func (b *book) Placed(ps []Placement) error {
	if err := b.fail("placed"); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range ps {
		delete(b.placing, p.Argument)
		b.placed[p.Argument] = p
	}
	return nil
}

func (b *book) Folder(id []byte) (Place, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.folders[string(id)]
	return p, ok, nil
}

func (b *book) Remember(id []byte, p Place) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.folders[string(id)] = p
	return nil
}

// kit is a receiver's disk with what outlives sessions.
type kit struct {
	*testing.T
	dir, state string
	book       *book
	id         string
	change     func(*Config)
}

func newKit(t *testing.T) *kit {
	return &kit{T: t, dir: filepath.Join(t.TempDir(), "in"), state: filepath.Join(t.TempDir(), "state"), book: newBook(), id: setID}
}

// again begins another set of the same contact.
func (k *kit) again() {
	k.id = setID[:len(setID)-1] + string(rune('0'+(k.id[len(k.id)-1]-'0'+1)%10))
	k.book.placed, k.book.placing = map[int]Placement{}, map[int]Placement{}
}

// open begins a session.
func (k *kit) open(how inbox.Conflict) *session {
	k.Helper()
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		k.Fatal(err)
	}
	s := &session{kit: k, out: map[uint64]set.Outcome{}, argument: -1}
	cfg := Config{
		Dir: k.dir, ID: k.id, State: k.state, Conflict: how, Bytes: 1 << 40, Ledger: k.book, Settled: s.settled,
		Arrived: func(a Arrival) { s.mu.Lock(); s.arrivals = append(s.arrivals, a); s.mu.Unlock() },
		Broken:  func(err error) { s.mu.Lock(); s.broken = err; s.mu.Unlock() },
	}
	if k.change != nil {
		k.change(&cfg)
	}
	var err error
	if s.Target, err = Open(k.Context(), cfg); err != nil {
		k.Fatal(err)
	}
	return s
}

// session is a sender's end of a session, without one.
type session struct {
	*kit
	*Target
	argument int
	next     uint64
	first    uint64 // of the argument
	paths    []string

	mu       sync.Mutex
	out      map[uint64]set.Outcome
	arrivals []Arrival
	broken   error
}

func (s *session) settled(o set.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.out[o.Number]; twice {
		s.Errorf("entry %d is settled twice", o.Number)
	}
	s.out[o.Number] = o
}

// thing is what a sender has.
type thing struct {
	path   string // below the argument; "" is the root
	dir    bool
	data   string
	target string
	mode   fs.FileMode
	mtime  time.Time
	failed string
	x      []set.Extent
	sha    bool
	size   int64 // of one that is sparse
}

func (th *thing) entry() set.Entry {
	e := set.Entry{Kind: set.File, Size: int64(len(th.data)), MTime: th.mtime, Mode: th.mode, Extents: -1, Failed: th.failed}
	if th.path != "" {
		e.Path = strings.Split(th.path, "/")
	}
	if e.MTime.IsZero() {
		e.MTime = epoch
	}
	if th.mode == 0 {
		e.Mode = 0o644
	}
	switch {
	case th.dir:
		e.Kind, e.Size = set.Directory, 0
		if th.mode == 0 {
			e.Mode = 0o755
		}
	case th.target != "":
		e.Kind, e.Size, e.Target = set.Link, 0, th.target
	case th.x != nil:
		e.Size, e.Extents = th.size, len(th.x)
	}
	if th.sha {
		e.SHA256 = th.sum(1 << 60)
	}
	return e
}

func (th *thing) sum(end int64) []byte {
	e := thing{data: th.data, x: th.x, size: th.size}
	entry := e.entry()
	s := set.NewSum(th.x != nil)
	if err := s.Read(strings.NewReader(th.data), set.ExtentsOf(&entry, th.x), end); err != nil {
		panic(err)
	}
	return s.Sum(nil)
}

// ordered are things in the order of the index, with the directories that they are in.
func ordered(things []thing) []thing {
	all := map[string]thing{"": {dir: true}}
	for _, th := range things {
		all[th.path] = th
		for i := range th.path {
			if th.path[i] == '/' {
				if _, ok := all[th.path[:i]]; !ok {
					all[th.path[:i]] = thing{path: th.path[:i], dir: true}
				}
			}
		}
	}
	out := slices.Collect(maps.Values(all))
	slices.SortFunc(out, func(a, b thing) int {
		return cmp.Compare(strings.ReplaceAll(a.path, "/", "\x00"), strings.ReplaceAll(b.path, "/", "\x00"))
	})
	return out
}

// begin begins an argument.
func (s *session) begin(name string, folder []byte, entries int) {
	s.Helper()
	s.argument++
	s.first = s.next
	if err := s.Target.Argument(s.argument, set.Argument{Name: name, Folder: folder, Entries: uint64(entries), Bytes: 1 << 40}); err != nil {
		s.Fatal(err)
	}
}

// tell tells an entry of the index.
func (s *session) tell(th thing) (uint64, set.Want) {
	s.Helper()
	n := s.next
	s.next++
	s.paths = append(s.paths, fmt.Sprint(s.argument, ":", th.path))
	w, err := s.Entry(n, th.entry(), th.x)
	if err != nil {
		s.Fatalf("%q: %v", th.path, err)
	}
	return n, w
}

// isSettled reports whether an entry has been settled, as the other end sees it.
func (s *session) isSettled(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.out[n]
	return ok
}

// give sends the data of a file.
func (s *session) give(n uint64, th thing, w set.Want) {
	s.Helper()
	if w.Nothing || th.dir || th.target != "" || s.isSettled(n) {
		return
	}
	var sum []byte
	from := int64(0)
	if w.Have > 0 && bytes.Equal(th.sum(w.Have), w.SHA256) {
		from, sum = w.Have, th.sum(1<<60)
	}
	e := th.entry()
	for _, x := range set.ExtentsOf(&e, th.x) {
		for at := max(x.Offset, from); at < x.Offset+x.Length; {
			b := []byte(th.data[at:min(at+60000, x.Offset+x.Length)])
			if err := s.Write(n, at, b); err != nil {
				s.Fatal(err)
			}
			at += int64(len(b))
		}
	}
	if err := s.End(n, sum); err != nil {
		s.Fatal(err)
	}
}

// folder sends a folder, and says what was asked for.
func (s *session) folder(name string, things ...thing) (wanted []string) {
	s.Helper()
	things = ordered(things)
	s.begin(name, folderID, len(things))
	for _, th := range things {
		n, w := s.tell(th)
		if !w.Nothing {
			wanted = append(wanted, th.path)
		}
		s.give(n, th, w)
	}
	return wanted
}

// file sends a file.
func (s *session) file(name string, th thing) set.Want {
	s.Helper()
	s.begin(name, nil, 1)
	n, w := s.tell(th)
	s.give(n, th, w)
	return w
}

// done ends a session in which all came.
func (s *session) done() *session {
	s.Helper()
	if err := s.Indexed(); err != nil {
		s.Fatal(err)
	}
	if err := s.Close(nil); err != nil {
		s.Fatal(err)
	}
	if len(s.out) != int(s.next) {
		s.Errorf("%d of %d entries are settled", len(s.out), s.next)
	}
	if len(s.arrivals) != s.argument+1 {
		s.Errorf("%d of %d arguments have ended", len(s.arrivals), s.argument+1)
	}
	if hidden, _ := filepath.Glob(filepath.Join(s.dir, ".*")); len(hidden) > 0 {
		s.Errorf("left: %q", hidden)
	}
	return s
}

// cut ends a session that was cut.
func (s *session) cut() {
	s.Helper()
	if err := s.Close(errCut); err != nil {
		s.Fatal(err)
	}
}

// crash ends a session as the end of the process does.
func (s *session) crash() {
	s.Target.fail(errors.New("crash"))
	_ = s.Close(errCut)
}

// outcomes are what became of the entries, as "how path".
func (s *session) outcomes() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(s.out)) {
		o := s.out[n]
		line := fmt.Sprint([]string{"failed", "new", "changed", "equal"}[o.How], " ", strings.SplitN(s.paths[n], ":", 2)[1])
		for _, more := range []struct{ what, is string }{{"reason", o.Reason}, {"renamed", o.Renamed}, {"kept", o.Kept}} {
			if more.is != "" {
				line += " " + more.what + " " + more.is
			}
		}
		all = append(all, line)
	}
	return all
}

// want compares the outcomes.
func (s *session) want(want ...string) {
	s.Helper()
	if got := s.outcomes(); !slices.Equal(got, want) {
		s.Errorf("got  %q\nwant %q", got, want)
	}
}
