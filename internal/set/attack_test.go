package set

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeaf: a sender that does not hear what becomes of its entries cannot go on telling
// others: what is to be said of them is held in memory.
func TestDeaf(t *testing.T) {
	x, y := newPipe()
	into := newBox()
	r := NewReceiver(y, ReceiveOptions{})
	into.settled = r.Settled
	var liar sync.WaitGroup
	said := 0
	liar.Go(func() {
		e := Entry{Kind: File, Path: []string{"a"}, Extents: -1, Failed: strings.Repeat("x", MaxReason)}
		for m := (Message)(Argument{Name: "f", Entries: MaxEntries}); x.WriteRecord(Append(nil, m), false) == nil; m = e {
			said++
		}
	})
	if _, err := r.Run(t.Context(), into); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
	_ = x.Close()
	liar.Wait()
	if said > 2*Window { // some are on their way, in records of a bounded number
		t.Errorf("%d were taken", said)
	}
}

// TestHeardLate: a sender that has just heard of its entries may tell others, whatever the
// receiver has taken note of by then.
func TestHeardLate(t *testing.T) {
	from, into := &shelf{}, newBox()
	from.folder(5 * Window)
	for i := range 5 * Window {
		name := fmt.Sprintf("%07d", i)
		into.have[name], into.fails[name] = Want{Nothing: i%3 == 0}, i%3 == 1
	}
	if _, _, serr, rerr := transfer(t.Context(), from, into, SendOptions{}); serr != nil || rerr != nil {
		t.Error(serr, rerr)
	}
}

// TestOffered: no more comes than was offered.
func TestOffered(t *testing.T) {
	arg, root := Argument{Name: "f", Entries: 9}, Entry{Kind: Directory, Extents: -1}
	file := Entry{Kind: File, Path: []string{"a"}, Extents: -1, Failed: "no"}
	for name, say := range map[string][]Message{
		"arguments": {arg, root, arg, root, arg},
		"entries":   {arg, root, file, file, file, file},
	} {
		x, y := newPipe()
		into := newBox()
		r := NewReceiver(y, ReceiveOptions{Arguments: 2, Entries: 4})
		into.settled = r.Settled
		var liar sync.WaitGroup
		liar.Go(func() { against(t, x, say) })
		if _, err := r.Run(t.Context(), into); !errors.Is(err, ErrMessage) || len(into.entries) > 4 {
			t.Errorf("%s: %v, %d", name, err, len(into.entries))
		}
		_ = x.Close()
		liar.Wait()
	}
}

// TestAliveFlood: however much an end says that it is alive, that gets nothing on.
func TestAliveFlood(t *testing.T) {
	for _, receiving := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x, y := newPipe()
			var liar sync.WaitGroup
			liar.Go(func() {
				for x.WriteRecord(Append(Append(nil, Alive{}), Alive{}), false) == nil && x.WriteRecord(nil, false) == nil {
					time.Sleep(50 * time.Millisecond)
				}
			})
			liar.Go(func() {
				for {
					if _, err := x.ReadRecord(); err != nil {
						return
					}
				}
			})
			var err error
			cause := make(chan error, 1)
			begun := time.Now()
			if receiving {
				_, err = NewReceiver(y, ReceiveOptions{Patience: time.Minute, Ended: func(err error) { cause <- err }}).Run(t.Context(), newBox())
			} else {
				from := &shelf{}
				from.folder(1)
				_, err = Send(t.Context(), y, from, SendOptions{Patience: time.Minute})
				cause <- err
			}
			if took := time.Since(begun); !errors.Is(err, ErrSilent) || !errors.Is(<-cause, ErrSilent) || took > 2*time.Minute {
				t.Errorf("after %v: %v", took, err)
			}
			_ = x.Close()
			liar.Wait()
		})
	}
}

// TestAsked: what a receiver wants and fails at once, while a long file goes out, is not
// held.
func TestAsked(t *testing.T) {
	s := &sending{open: map[uint64]*unsettled{}, wake: newBell()}
	for n := range uint64(10 * Window) {
		s.open[n], s.next = &unsettled{item: Item{Entry: Entry{Kind: File, Size: 1}}}, n+1
		err := s.take(Want{First: n, Count: 1})
		if n > 0 && err == nil {
			err = s.take(Failed{n, "x"})
		}
		if err != nil || len(s.asked) > 2*Window+1 {
			t.Fatalf("%d are held: %v", len(s.asked), err)
		}
	}
	if len(s.open) != 1 || s.asked[0].number != 0 {
		t.Error("the long one is gone")
	}
}

// TestLongNames: so much is not told at a time; all of it comes, though.
func TestLongNames(t *testing.T) {
	from, into := &shelf{}, newBox()
	from.folder(0)
	long := strings.Repeat("d", 255)
	for i := range 3 * MaxNames / MaxPath {
		path := []string{long, long, long, long, long, long, long, long, long, long, long, long, long, long, fmt.Sprintf("%0200d", i)}
		from.items = append(from.items, Item{Entry: Entry{Kind: Directory, Path: path}})
	}
	sent, got, serr, rerr := transfer(t.Context(), from, into, SendOptions{})
	if serr != nil || rerr != nil || sent != got || sent.Released != uint64(len(from.items)-1) {
		t.Error(sent, got, serr, rerr)
	}
}
