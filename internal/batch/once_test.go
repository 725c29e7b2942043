package batch

import (
	"fmt"
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
)

var romeo = jid.MustParse("romeo@jet.test/orchard")

// file is one of a batch of romeo's.
func file(batch, transfer string, count int) File {
	return File{Key: KeyOf(romeo, batch, transfer), Transfer: transfer, Count: count}
}

// over is the code that the batch has ended with; -1: it has not.
func over(o *Once) exitcode.Code {
	select {
	case code := <-o.Over():
		return code
	default:
		return -1
	}
}

// TestClaim: the first file that is taken decides on the batch, unless it is taken back.
func TestClaim(t *testing.T) {
	o, nurse := NewOnce(), jid.MustParse("nurse@jet.test")
	x := file("b", "x", 2)
	check := func(when string, romeos, nurses, waits bool) {
		t.Helper()
		if o.Admits(romeo.Bare()) != romeos || o.Admits(nurse) != nurses || o.WaitsFor(x.Key) != waits || !o.Open(x.Key) || o.Open(file("c", "z", 2).Key) != nurses {
			t.Errorf("%s: something else is taken", when)
		}
	}
	check("at first", true, true, false)
	ours, undo := o.Claim(x)
	check("claimed", true, false, ours)
	again, undoAgain := o.Claim(x)
	if other, _ := o.Claim(file("c", "z", 2)); !again || other {
		t.Error("another batch is taken, or the same one is not")
	}
	undoAgain() // of what was claimed before
	check("still claimed", true, false, true)
	undo()
	check("taken back", true, true, false)
	if _, undo = o.Claim(x); true {
		o.Claim(file("b", "y", 2))
		o.End("y", exitcode.OK)
		undo()
	}
	check("one of it has come", true, false, true)
	o = nil
	check("without --once", true, true, true)
}

// TestLacks: what is missing of a batch is known when nothing of it is under way.
func TestLacks(t *testing.T) {
	o := NewOnce()
	o.Claim(file("b", "x", 3))
	o.Missed(file("b", "y", 3), exitcode.OK)
	if n := o.Lacks(); n != 0 {
		t.Errorf("lacks %d while one is under way", n)
	}
	o.End("another", exitcode.Integrity)
	o.End("x", exitcode.OK)
	if n, want := o.Lacks(), 1; n != want {
		t.Errorf("lacks %d", n)
	}
	if count, code := o.GiveUp(); count != 3 || code != exitcode.Interrupted {
		t.Errorf("given up: %d files, code %d", count, code)
	}
	o.Claim(file("b", "z", 3))
	if code := over(o); code != -1 {
		t.Errorf("has ended with %d while one is under way", code)
	}
	o.End("z", exitcode.LocalFile)
	if code := over(o); code != exitcode.LocalFile {
		t.Errorf("ends with %d", code)
	}
}

// TestCutRelease: a release that a crash had cut is a batch of its own, if none is taken.
func TestCutRelease(t *testing.T) {
	o := NewOnce()
	o.Missed(file("", "refused", 0), exitcode.Declined) // in no batch: the run goes on
	o.Missed(File{Transfer: "unread", Count: 1}, exitcode.Declined)
	if o.End("x", exitcode.OK); over(o) != exitcode.OK || len(o.seen) != 0 {
		t.Errorf("not the end, or %d batches are known", len(o.seen))
	}
}

// TestRefusedAreBounded: a run with --once that waits remembers only so many of the files
// that it refuses; of the batch that it has taken it knows each.
func TestRefusedAreBounded(t *testing.T) {
	o := NewOnce()
	refuse := func(batch, transfer string) { o.Missed(file(batch, transfer, 1<<20), exitcode.Declined) }
	remembered := func() (n int) {
		for _, l := range o.seen {
			n += len(l.ended)
		}
		return n
	}
	for i := range maxRefused + 10 {
		refuse(fmt.Sprint("batch", i%3), fmt.Sprint(i))
	}
	refuse("batch0", "0") // again
	if n := remembered(); n != maxRefused {
		t.Errorf("%d are remembered", n)
	}
	_, undo := o.Claim(file("batch0", "taken", 1<<20))
	refuse("batch0", "late")
	if n := remembered(); n != maxRefused+1 {
		t.Errorf("%d are remembered, with that of the batch that is taken", n)
	}
	undo()
	for i := range maxBatches + 10 {
		o.Claim(file(fmt.Sprint(i), "x", 1)) // the first one is taken
	}
	if n := len(o.seen); n != maxBatches {
		t.Errorf("%d batches are remembered", n)
	}
}
