package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
)

// net is a port to contacts of a test's making.
type net struct {
	mu        sync.Mutex
	absent    map[jid.JID]bool
	changed   map[jid.JID]bool
	results   map[string][]error // of the sends, by the names of the entries; nil when there is none
	over      map[string]bool    // transfers that have ended without a receipt
	live      map[string]bool
	arrived   map[string]bool
	sent      []string // what was sent, as NAME transfer
	told      []string
	forgotten []string
	blocks    chan struct{} // unless nil: a Send waits for it, or for its end
}

func failure(code exitcode.Code) error {
	return &fault.Failure{Code: code, Reason: fmt.Sprint("code ", code)}
}

func (n *net) Reach(_ context.Context, e *Entry, _ time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.absent[e.Peer] {
		return failure(exitcode.Offline)
	}
	return nil
}

func (n *net) Keys(_ context.Context, of jid.JID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed[of] {
		return failure(exitcode.Untrusted)
	}
	return nil
}

func (n *net) Send(ctx context.Context, e *Entry, id string) error {
	n.mu.Lock()
	n.sent = append(n.sent, e.Name+" "+id)
	blocks := n.blocks
	var err error
	if all := n.results[e.Name]; len(all) > 0 {
		err, n.results[e.Name] = all[0], all[1:]
	}
	n.mu.Unlock()
	if blocks == nil {
		return err
	}
	select {
	case <-blocks:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *net) Forget(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgotten = append(n.forgotten, id)
	return nil
}

func (n *net) Standing(_ context.Context, id string) (Standing, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return Standing{Live: n.live[id], Arrived: n.arrived[id], Over: n.over[id]}, nil
}

func (n *net) Code(_ context.Context, _ string, err error) (exitcode.Code, string) {
	var f *fault.Failure
	if errors.As(err, &f) {
		return f.Code, f.Reason
	}
	return exitcode.Unexpected, err.Error()
}

func (n *net) Tell(e *Entry, code exitcode.Code, _ string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, fmt.Sprint(e.Name, " ", code))
}

func newCourier(b *Box, n *net) *Courier {
	return &Courier{Box: b, Port: n, Log: slog.New(slog.DiscardHandler)}
}

// once delivers, and returns the code.
func once(t *testing.T, c *Courier) exitcode.Code {
	t.Helper()
	code, err := c.Once(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// is is the entry as it is now.
func is(t *testing.T, b *Box, e *Entry) Entry {
	t.Helper()
	now, err := b.Find(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// TestOrder: what goes to a contact goes in order, and nothing past what has to wait; contacts do not wait
// for each other. What fails for good lets the next one go.
func TestOrder(t *testing.T) {
	b, dir := newBox(t)
	n := &net{absent: map[jid.JID]bool{nurse: true}, results: map[string][]error{"b": {failure(exitcode.Declined)}, "c": {failure(exitcode.Interrupted)}}}
	entries := map[string]*Entry{}
	for i, name := range []string{"a", "n", "b", "c", "d"} {
		to := juliet
		if i == 1 {
			to = nurse
		}
		entries[name] = put(t, b, entryOf(t, to, file(t, dir, name, name)))
	}
	c := newCourier(b, n)
	if code := once(t, c); code != exitcode.Interrupted {
		t.Errorf("code %d", code)
	}
	if want := []string{"a " + entries["a"].ID, "b " + entries["b"].ID, "c " + entries["c"].ID}; !slices.Equal(n.sent, want) {
		t.Errorf("sent %q", n.sent)
	}
	for name, want := range map[string]State{"a": Ended, "b": Ended, "c": Waiting, "d": Waiting, "n": Waiting} {
		if got := is(t, b, entries[name]); got.State != want || want == Waiting && got.Why == "" {
			t.Errorf("%s: %s, %q", name, got.State, got.Why)
		}
	}
	if got := is(t, b, entries["b"]); got.Code != int(exitcode.Declined) {
		t.Errorf("b: %+v", got)
	}
	n.absent = nil
	if code := once(t, c); code != exitcode.OK {
		t.Errorf("code %d", code)
	}
	if open, err := b.Open(t.Context()); err != nil || len(open) > 0 {
		t.Errorf("%d open, %v", len(open), err)
	}
	if again := n.sent[3:]; !slices.Contains(again, "c "+entries["c"].ID) { // the same transfer goes on
		t.Errorf("sent then %q", again)
	}
	if len(n.told) > 0 {
		t.Errorf("told %q", n.told)
	}
}

// TestAnotherTransfer: a transfer that has ended is not begun again under its id; one that somebody is at is
// left alone.
func TestAnotherTransfer(t *testing.T) {
	b, dir := newBox(t)
	e := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	n := &net{results: map[string][]error{"a": {failure(exitcode.Unreachable)}}, live: map[string]bool{e.ID: true}}
	c := newCourier(b, n)
	if code := once(t, c); code != exitcode.Interrupted || len(n.sent) > 0 {
		t.Errorf("live: %d, %q", code, n.sent)
	}
	n.live, n.over = nil, map[string]bool{e.ID: true}
	for range 3 {
		once(t, c)
	}
	if len(n.sent) != 2 || n.sent[0] == n.sent[1] {
		t.Errorf("sent %q", n.sent)
	}
}

// TestHeld: where a key has to be compared the entry is held and told once, and goes when it was.
func TestHeld(t *testing.T) {
	b, dir := newBox(t)
	e := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	n := &net{changed: map[jid.JID]bool{juliet: true}}
	c := newCourier(b, n)
	for range 2 {
		if code := once(t, c); code != exitcode.Untrusted {
			t.Errorf("code %d", code)
		}
	}
	if got := is(t, b, e); got.State != Held || got.Code != int(exitcode.Untrusted) || len(n.sent) > 0 || len(n.told) != 1 {
		t.Errorf("%+v, sent %q, told %q", got, n.sent, n.told)
	}
	n.changed = nil
	if code := once(t, c); code != exitcode.OK || len(n.sent) != 1 {
		t.Errorf("code %d, sent %q", code, n.sent)
	}
	if got := is(t, b, e); got.State != Ended || got.Code != 0 {
		t.Errorf("%+v", got)
	}
}

// TestHeldBehind: a key is a matter of all that goes to the contact, not only of what is next.
func TestHeldBehind(t *testing.T) {
	b, dir := newBox(t)
	first, behind := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one"))), put(t, b, entryOf(t, juliet, file(t, dir, "b", "two")))
	n := &net{changed: map[jid.JID]bool{juliet: true}}
	c := newCourier(b, n)
	for range 2 {
		once(t, c)
	}
	for _, e := range []*Entry{first, behind} {
		if got := is(t, b, e); got.State != Held || got.Code != int(exitcode.Untrusted) || got.Why == "" {
			t.Errorf("%s: %+v", e.Name, got)
		}
	}
	if len(n.told) != 1 {
		t.Errorf("told %q", n.told)
	}
	n.changed, n.absent = nil, map[jid.JID]bool{juliet: true}
	once(t, c)
	for _, e := range []*Entry{first, behind} {
		if got := is(t, b, e); got.State != Waiting || got.Code != 0 {
			t.Errorf("%s: %+v", e.Name, got)
		}
	}
}

// TestLateBehind: time is over for an entry also while one before it has time.
func TestLateBehind(t *testing.T) {
	b, dir := newBox(t)
	first, late, begun := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one"))), entryOf(t, juliet, file(t, dir, "b", "two")), entryOf(t, nurse, file(t, dir, "c", "three"))
	late.Until, begun.Until = time.Now().Add(-time.Second), time.Now().Add(time.Minute)
	put(t, b, late)
	put(t, b, begun)
	n := &net{results: map[string][]error{"a": {failure(exitcode.Interrupted)}, "c": {failure(exitcode.Interrupted)}}}
	c := newCourier(b, n)
	if code := once(t, c); code != exitcode.Combine(exitcode.Interrupted, exitcode.Offline) {
		t.Errorf("code %d", code)
	}
	if got := is(t, b, late); got.State != Ended || got.Code != int(exitcode.Offline) || !slices.Equal(n.told, []string{"b 6"}) {
		t.Errorf("%+v, told %q", got, n.told)
	}
	if got := is(t, b, first); got.State != Waiting {
		t.Errorf("%+v", got)
	}

	// What had begun is given up at both ends.
	b.now = func() time.Time { return begun.Until.Add(time.Second) }
	once(t, c)
	if got := is(t, b, begun); got.State != Ended || !slices.Contains(n.forgotten, begun.ID) {
		t.Errorf("%+v, forgotten %q", got, n.forgotten)
	}
}

// TestLateInRun: a courier that goes on for long notices it, too.
func TestLateInRun(t *testing.T) {
	b, dir := newBox(t)
	n := &net{blocks: make(chan struct{})}
	ctx, stop := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		newCourier(b, n).Run(ctx)
	}()
	put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	until(t, func() bool { return n.count() == 1 })
	late := entryOf(t, juliet, file(t, dir, "b", "two"))
	late.Until = time.Now()
	put(t, b, late)
	until(t, func() bool { return is(t, b, late).State == Ended })
	stop(fault.ErrTerminated)
	<-done
	if !slices.Equal(n.told, []string{"b 6"}) {
		t.Errorf("told %q", n.told)
	}
}

// TestJustBegun: what a worker has begun since the table was read is not taken for cancelled.
func TestJustBegun(t *testing.T) {
	b, dir := newBox(t)
	c := newCourier(b, &net{})
	c.init()
	before := c.atWork()
	e := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	ctx, done := c.enter(t.Context(), e)
	defer done()
	c.look(nil, before)
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
	c.look(nil, c.atWork())
	if !errors.Is(context.Cause(ctx), ErrCancelled) {
		t.Error(context.Cause(ctx))
	}
}

// TestLate: what was not sent in time is given up, told, and not tried.
func TestLate(t *testing.T) {
	b, dir := newBox(t)
	e := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	n := &net{absent: map[jid.JID]bool{juliet: true}}
	c := newCourier(b, n)
	once(t, c)
	b.now = func() time.Time { return e.Until.Add(time.Second) }
	if code := once(t, c); code != exitcode.Offline {
		t.Errorf("code %d", code)
	}
	if got := is(t, b, e); got.State != Ended || got.Code != int(exitcode.Offline) || len(n.told) != 1 {
		t.Errorf("%+v, told %q", got, n.told)
	}
}

// TestChanged: what has changed goes as it is, in another transfer when the one before had begun, unless it
// may not; what is gone is an error of the file.
func TestChanged(t *testing.T) {
	b, dir := newBox(t)
	free, strict, gone := entryOf(t, juliet, file(t, dir, "free", "one")), entryOf(t, juliet, file(t, dir, "strict", "one")), entryOf(t, juliet, file(t, dir, "gone", "one"))
	strict.Changed = FailChanged
	for _, e := range []*Entry{free, strict, gone} {
		put(t, b, e)
	}
	n := &net{results: map[string][]error{"free": {failure(exitcode.Interrupted)}}}
	c := newCourier(b, n)
	once(t, c)
	file(t, dir, "free", "longer")
	file(t, dir, "strict", "longer")
	if err := os.Remove(gone.Files[0].Path); err != nil {
		t.Fatal(err)
	}
	if code := once(t, c); code != exitcode.LocalFile {
		t.Errorf("code %d", code)
	}
	if len(n.sent) != 2 || n.sent[0] == n.sent[1] || len(n.told) != 2 {
		t.Errorf("sent %q, told %q", n.sent, n.told)
	}
	for e, want := range map[*Entry]exitcode.Code{free: 0, strict: exitcode.LocalFile, gone: exitcode.LocalFile} {
		if got := is(t, b, e); got.State != Ended || got.Code != int(want) {
			t.Errorf("%s: %+v", e.Name, got)
		}
	}
}

// TestRun: entries that come later are sent as well; one that is cancelled is stopped and forgotten; at the end of
// a run what is being sent waits for the next one, which goes on with the same transfer.
func TestRun(t *testing.T) {
	b, dir := newBox(t)
	n := &net{blocks: make(chan struct{})}
	ctx, stop := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		newCourier(b, n).Run(ctx)
	}()
	cancelled := put(t, b, entryOf(t, juliet, file(t, dir, "cancelled", "one")))
	until(t, func() bool { return n.count() == 1 })
	if err := ends(b, cancelled, int(exitcode.Cancelled), true); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { n.mu.Lock(); defer n.mu.Unlock(); return slices.Contains(n.forgotten, cancelled.ID) })
	e := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one")))
	until(t, func() bool { return n.count() == 2 })
	stop(fault.ErrTerminated)
	<-done
	if got := is(t, b, e); got.State != Waiting {
		t.Errorf("%+v", got)
	}
	close(n.blocks)
	if code := once(t, newCourier(b, n)); code != exitcode.OK {
		t.Errorf("code %d", code)
	}
	if n.sent[1] != n.sent[2] || n.sent[2] != "a "+e.ID {
		t.Errorf("sent %q", n.sent)
	}
}

func (n *net) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.sent)
}

// until waits for something that other goroutines bring about.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for !is() {
		if t.Context().Err() != nil {
			t.Fatal("it did not come")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestArrived: a transfer of which the receipt is there ends well, though the process died before it noted that,
// and whatever has become of the file, or of its time, since.
func TestArrived(t *testing.T) {
	b, dir := newBox(t)
	gone, late := put(t, b, entryOf(t, juliet, file(t, dir, "a", "one"))), put(t, b, entryOf(t, nurse, file(t, dir, "b", "two")))
	n := &net{arrived: map[string]bool{gone.ID: true, late.ID: true}}
	if err := os.Remove(gone.Files[0].Path); err != nil {
		t.Fatal(err)
	}
	c := newCourier(b, n)
	if _, ended := c.attemptNow(t, gone); !ended {
		t.Error("it goes on")
	}
	b.now = func() time.Time { return late.Until.Add(time.Second) }
	once(t, c)
	for _, e := range []*Entry{gone, late} {
		if got := is(t, b, e); got.State != Ended || got.Code != 0 || len(n.sent) > 0 {
			t.Errorf("%+v, sent %q", got, n.sent)
		}
	}
}

func (c *Courier) attemptNow(t *testing.T, e *Entry) (exitcode.Code, bool) {
	t.Helper()
	c.init()
	return c.attempt(t.Context(), e, e.Until)
}
