package set

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// piped is a session of records that are not encrypted.
type piped struct{ net.Conn }

func (p piped) WriteRecord(b []byte, final bool) error {
	head := uint32(len(b))
	if final {
		head |= 1 << 31
	}
	_, err := p.Write(append(binary.BigEndian.AppendUint32(nil, head), b...))
	return err
}

func (p *records) ReadRecord() ([]byte, error) {
	if p.final {
		return nil, io.EOF
	}
	var head [4]byte
	if _, err := io.ReadFull(p.Conn, head[:]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	n := binary.BigEndian.Uint32(head[:])
	p.final = n>>31 == 1
	b := make([]byte, n&(1<<31-1))
	_, err := io.ReadFull(p.Conn, b)
	return b, err
}

type records struct {
	piped
	final bool
}

func newPipe() (a, b Records) {
	x, y := net.Pipe()
	return &records{piped: piped{x}}, &records{piped: piped{y}}
}

// shelf is the files of a sender.
type shelf struct {
	items []Item
	at    int
	data  map[string][]byte // by path
	fails map[string]string
}

func (s *shelf) Next() (Item, error) {
	if s.at == len(s.items) {
		return Item{}, io.EOF
	}
	s.at++
	return s.items[s.at-1], nil
}

func nameOf(e *Entry) string { return strings.Join(e.Path, "/") }

func (s *shelf) Open(it *Item) (Content, error) {
	if why := s.fails[nameOf(&it.Entry)]; why != "" {
		return nil, errors.New(why)
	}
	return content{bytes.NewReader(s.data[nameOf(&it.Entry)])}, nil
}

type content struct{ io.ReaderAt }

func (content) Close() error     { return nil }
func (content) Unchanged() error { return nil }

// folder adds a folder of so many files, each with its name as its content.
func (s *shelf) folder(files int) {
	s.data, s.fails = map[string][]byte{}, map[string]string{}
	s.items = append(s.items, Item{Argument: &Argument{Name: "f", Entries: uint64(files) + 1}}, Item{Entry: Entry{Kind: Directory}})
	for i := range files {
		name := fmt.Sprintf("%07d", i)
		s.data[name] = []byte(name)
		s.items = append(s.items, Item{Entry: Entry{Kind: File, Path: []string{name}, Size: int64(len(name))}})
	}
}

// box is what came of a set, in memory.
type box struct {
	settled func(Outcome)
	files   map[string][]byte
	entries map[uint64]Entry
	have    map[string]Want // what is here before
	fails   map[string]bool
	roots   []uint64
	left    int
	closed  bool
}

func newBox() *box {
	return &box{files: map[string][]byte{}, entries: map[uint64]Entry{}, have: map[string]Want{}, fails: map[string]bool{}}
}

func (b *box) Argument(int, Argument) error { return nil }

func (b *box) Entry(n uint64, e Entry, _ []Extent) (Want, error) {
	b.entries[n] = e
	b.left++
	w := b.have[nameOf(&e)]
	switch {
	case e.Failed != "":
		b.settle(Outcome{Number: n, Reason: e.Failed})
	case len(e.Path) == 0 && e.Kind == Directory:
		b.roots = append(b.roots, n)
	case w.Nothing:
		b.settle(Outcome{Number: n, How: Equal})
	case b.fails[nameOf(&e)]:
		b.settle(Outcome{Number: n, Reason: "no room for it"})
	case e.Kind != File:
		b.settle(Outcome{Number: n, How: New, Renamed: "other"})
	}
	return w, nil
}

func (b *box) settle(o Outcome) {
	b.left--
	b.settled(o)
}

func (b *box) Write(n uint64, offset int64, p []byte) error {
	e := b.entries[n]
	have := b.files[nameOf(&e)]
	if offset < int64(len(have)) {
		have = have[:offset]
	}
	b.files[nameOf(&e)] = append(append(have, make([]byte, offset-int64(len(have)))...), p...)
	return nil
}

func (b *box) End(n uint64, sum []byte) error {
	e := b.entries[n]
	if got := sha256.Sum256(b.files[nameOf(&e)]); sum != nil && !bytes.Equal(sum, got[:]) {
		b.settle(Outcome{Number: n, Reason: "another file"})
		return nil
	}
	b.settle(Outcome{Number: n, How: New})
	return nil
}

func (b *box) Fail(n uint64, reason string) { b.settle(Outcome{Number: n, Reason: reason}) }

func (b *box) Indexed() error { return nil }

func (b *box) Close(error) error { b.closed = true; return nil }

// transfer runs both ends.
func transfer(ctx context.Context, from *shelf, into *box, o SendOptions) (sent, got Totals, serr, rerr error) {
	x, y := newPipe()
	r := NewReceiver(y, ReceiveOptions{Patience: o.Patience})
	into.settled = r.Settled
	var both sync.WaitGroup
	both.Go(func() { sent, serr = Send(ctx, x, from, o) })
	both.Go(func() { got, rerr = r.Run(ctx, &rooted{box: into}) })
	both.Wait()
	_, _ = x.Close(), y.Close()
	return
}

// rooted releases folders when nothing else is left.
type rooted struct {
	*box
	indexed bool
}

func (r *rooted) Indexed() error { r.indexed = true; r.done(); return nil }
func (r *rooted) End(n uint64, sum []byte) error {
	err := r.box.End(n, sum)
	r.done()
	return err
}

func (r *rooted) Fail(n uint64, reason string) {
	r.box.Fail(n, reason)
	r.done()
}

func (r *rooted) done() {
	for r.indexed && r.left == len(r.roots) && len(r.roots) > 0 {
		n := r.roots[0]
		r.roots = r.roots[1:]
		r.settle(Outcome{Number: n, How: New})
	}
}

// TestTransfer: many entries, with some that fail at either end, some that are there, and
// one of which the first half is.
func TestTransfer(t *testing.T) {
	const files = 20_000
	from, into := &shelf{}, newBox()
	from.folder(files)
	large := bytes.Repeat([]byte("0123456789"), 100_000)
	from.data["0000005"], from.items[7].Entry.Size = large, int64(len(large))
	half := sha256.Sum256(large[:500_000])
	into.have["0000005"] = Want{Have: 500_000, SHA256: half[:]}
	into.files["0000005"] = slices.Clone(large[:500_000])
	into.have["0000006"] = Want{Nothing: true}
	into.have["0000008"] = Want{Have: 3, SHA256: half[:]} // of another file
	into.files["0000008"] = []byte("xyz")
	from.fails["0000010"], from.items[13].Failed = "it is gone", "permission denied"
	into.fails["0000012"] = true
	from.items = append(from.items, Item{Argument: &Argument{Name: "l", Entries: 1}}, Item{Entry: Entry{Kind: Link, Target: "x"}})
	said := map[string]int{}
	renamed := 0
	o := SendOptions{Settled: func(_ int, it *Item, o Outcome) {
		said[fmt.Sprint(o.How, " ", o.Reason)]++
		if o.Renamed != "" {
			renamed++
		}
	}}
	sent, got, serr, rerr := transfer(t.Context(), from, into, o)
	if serr != nil || rerr != nil || sent != got || sent != (Totals{files + 2 - 3, 3}) {
		t.Fatalf("sent %+v, %v; received %+v, %v", sent, serr, got, rerr)
	}
	want := map[string]int{"1 ": files - 2, "3 ": 1, "0 it is gone": 1, "0 permission denied": 1, "0 no room for it": 1}
	if fmt.Sprint(said) != fmt.Sprint(want) || renamed != 1 || !into.closed {
		t.Errorf("%v, want %v; %d renamed", said, want, renamed)
	}
	if !bytes.Equal(into.files["0000005"], large) || string(into.files["0000008"]) != "0000008" || string(into.files["0019999"]) != "0019999" {
		t.Error("not what was sent")
	}
}

// TestWatched: an end that only says that it is alive is given up, and so is one that a
// user stops.
func TestWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &shelf{}
		from.folder(3)
		into := newBox()
		into.have["0000001"] = Want{} // wanted; and the root is never released
		x, y := newPipe()
		begun := time.Now()
		done := make(chan error, 1)
		go func() {
			r := NewReceiver(y, ReceiveOptions{})
			into.settled = func(Outcome) {}
			_, err := r.Run(context.Background(), into)
			done <- err
		}()
		_, err := Send(t.Context(), x, from, SendOptions{Patience: time.Minute})
		if !errors.Is(err, ErrSilent) || time.Since(begun) < time.Minute {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if err := <-done; err == nil {
			t.Error("the receiver is content")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("stopped")
		ctx, stop := context.WithCancelCause(t.Context())
		from, into := &shelf{}, newBox()
		from.folder(3)
		time.AfterFunc(time.Second, func() { stop(why) })
		x, y := newPipe()
		into.settled = func(Outcome) {}
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := Send(ctx, x, from, SendOptions{}); !errors.Is(err, why) {
				t.Error(err)
			}
		})
		both.Go(func() {
			if _, err := NewReceiver(y, ReceiveOptions{}).Run(context.Background(), into); err == nil || errors.Is(err, why) {
				t.Error(err)
			}
		})
		both.Wait()
	})
}

// against plays an end that says these messages, each in a record, to the other one.
func against(t *testing.T, link Records, say []Message) {
	t.Helper()
	go func() {
		for {
			if _, err := link.ReadRecord(); err != nil {
				return
			}
		}
	}()
	for _, m := range say {
		if link.WriteRecord(Append(nil, m), false) != nil {
			return
		}
	}
}

// TestSenderLies: what no honest sender says ends the session, and is not taken.
func TestSenderLies(t *testing.T) {
	arg := Argument{Name: "f", Entries: 9}
	root, file := Entry{Kind: Directory, Extents: -1}, Entry{Kind: File, Path: []string{"a"}, Size: 3, Extents: -1}
	sparse, long := file, file
	long.Path = slices.Repeat([]string{strings.Repeat("x", 255)}, MaxPath/256)
	sparse.Extents = 2
	for name, say := range map[string][]Message{
		"no argument":           {root},
		"a want":                {arg, root, Want{Count: 1}},
		"released":              {arg, root, Released{0, 1, New}},
		"renamed":               {arg, root, Renamed{0, "x"}},
		"data of nothing":       {Data{0, 0, []byte("x")}},
		"data of a folder":      {arg, root, Data{0, 0, []byte("x")}},
		"data out of order":     {arg, root, file, file, Data{2, 0, []byte("x")}},
		"data behind the end":   {arg, root, file, End{Number: 1}, Data{1, 0, []byte("x")}},
		"two ends":              {arg, root, file, End{Number: 1}, End{Number: 1}},
		"failed and more":       {arg, root, file, Failed{1, "x"}, End{Number: 1}},
		"failed unasked":        {arg, root, Failed{7, "x"}},
		"an entry behind":       {arg, root, Indexed{}, file},
		"an argument behind":    {arg, root, Indexed{}, arg},
		"two indexes":           {arg, root, Indexed{}, Indexed{}},
		"done before":           {arg, root, Done{1, 0}},
		"extents of nothing":    {arg, root, Extents{[]Extent{{0, 1}}}},
		"no extents":            {arg, root, sparse, file},
		"more extents":          {arg, root, sparse, Extents{[]Extent{{0, 1}, {5, 1}, {9, 1}}}},
		"extents that go back":  {arg, root, sparse, Extents{[]Extent{{5, 1}}}, Extents{[]Extent{{0, 1}}}},
		"more than the window":  append([]Message{arg}, slices.Repeat([]Message{root}, Window+1)...),
		"more than names":       append([]Message{arg, root}, slices.Repeat([]Message{long}, MaxNames/MaxPath+1)...),
		"more than extents":     {arg, root, withExtents(MaxExtents), manyExtents(), withExtents(MaxExtents), manyExtents()},
		"done with other words": {arg, Indexed{}, Done{1, 0}},
	} {
		x, y := newPipe()
		into := newBox()
		r := NewReceiver(y, ReceiveOptions{})
		into.settled = r.Settled
		var liar sync.WaitGroup
		liar.Go(func() { against(t, x, flat(say)) })
		if _, err := r.Run(t.Context(), into); !errors.Is(err, ErrMessage) || !into.closed {
			if name != "done with other words" || err != nil { // it is over then, whatever they say
				t.Errorf("%s: %v", name, err)
			}
		}
		_ = x.Close()
		liar.Wait()
	}
}

func withExtents(n int) Message {
	return Entry{Kind: File, Path: []string{"a"}, Size: 1 << 40, Extents: n}
}

// many are several messages in one.
type many struct {
	Message
	all []Message
}

// manyExtents are as many as a file may have.
func manyExtents() Message {
	var m many
	for at := int64(0); at < MaxExtents; at += MaxExtentsEach {
		var x Extents
		for i := range int64(MaxExtentsEach) {
			x.List = append(x.List, Extent{2 * (at + i), 1})
		}
		m.all = append(m.all, x)
	}
	return m
}

func flat(say []Message) (all []Message) {
	for _, m := range say {
		if several, is := m.(many); is {
			all = append(all, several.all...)
			continue
		}
		all = append(all, m)
	}
	return all
}

// TestReceiverLies: neither is what no honest receiver says.
func TestReceiverLies(t *testing.T) {
	for name, say := range map[string][]Message{
		"an entry":              {Entry{Kind: Directory, Extents: -1}},
		"data":                  {Data{0, 0, []byte("x")}},
		"want beyond":           {Want{First: 0, Count: 5}},
		"want behind":           {Want{First: 1, Count: 1}},
		"want twice":            {Want{First: 0, Count: 1}, Want{First: 0, Count: 1}},
		"want far":              {Want{First: 1 << 60, Count: 1 << 60}},
		"the rest of more":      {Want{First: 0, Count: 1}, Want{First: 1, Count: 1, Have: 1000, SHA256: make([]byte, 32)}},
		"released unwanted":     {Released{0, 1, New}},
		"released, not out":     {Want{First: 0, Count: 4}, Released{3, 1, New}, Released{3, 1, New}},
		"released twice":        {Want{First: 0, Count: 1}, Released{0, 1, New}, Released{0, 1, New}},
		"released beyond":       {Want{First: 0, Count: 1}, Released{0, 2, New}},
		"released far":          {Want{First: 0, Count: 1}, Released{0, 1 << 60, New}},
		"failed beyond":         {Failed{9, "x"}},
		"renamed when released": {Want{First: 0, Count: 1}, Released{0, 1, New}, Renamed{0, "x"}},
		"renamed twice":         {Want{First: 0, Count: 1}, Renamed{0, "x"}, Renamed{0, "x"}},
		"kept twice":            {Want{First: 0, Count: 1}, Kept{0, "x"}, Kept{0, "y"}},
		"done before":           {Want{First: 0, Count: 4, Nothing: true}, Done{4, 0}},
		"done with other words": {Want{First: 0, Count: 4, Nothing: true}, Released{0, 4, Equal}, Done{3, 1}},
		"more behind done":      {Want{First: 0, Count: 4, Nothing: true}, Released{0, 4, Equal}, Done{4, 0}, Done{4, 0}},
	} {
		from := &shelf{}
		from.folder(3)
		x, y := newPipe()
		var liar sync.WaitGroup
		liar.Go(func() { against(t, y, say) })
		total, err := Send(t.Context(), x, from, SendOptions{})
		if !errors.Is(err, ErrMessage) && (name != "more behind done" || err != nil) {
			t.Errorf("%s: %+v, %v", name, total, err)
		}
		_ = y.Close()
		liar.Wait()
	}
}

// TestReleasedLater: an entry of which data is wanted is released behind it alone.
func TestReleasedLater(t *testing.T) {
	from := &shelf{}
	from.folder(1)
	from.data["0000000"], from.items[2].Entry.Size = make([]byte, 10<<20), 10<<20
	x, y := newPipe()
	var liar sync.WaitGroup
	liar.Go(func() {
		for _, m := range []Message{Want{First: 0, Count: 2}, Released{1, 1, New}} {
			_ = y.WriteRecord(Append(nil, m), false)
		}
		for i := 0; i < 5; i++ { // far from all of it
			if _, err := y.ReadRecord(); err != nil {
				return
			}
		}
	})
	if _, err := Send(t.Context(), x, from, SendOptions{}); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
	liar.Wait()
}
