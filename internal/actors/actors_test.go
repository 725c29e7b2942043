package actors

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestTable: there is one actor for a key, it hears everything in order, and leaves only
// when it has heard all.
func TestTable(t *testing.T) {
	var table Table[string, int]
	if table.Tell("a", 1, nil) {
		t.Error("told nobody")
	}
	heard, again := make(chan int), make(chan struct{})
	begin := func(b *Mailbox[string, int]) func() {
		return func() {
			for {
				for n, ok := b.Hear(); ok; n, ok = b.Hear() {
					heard <- n
				}
				<-again
				if b.Leave() {
					return
				}
			}
		}
	}
	for n := range 3 {
		if !table.Tell("a", n, begin) {
			t.Fatal("not told")
		}
	}
	for want := range 3 {
		if got := <-heard; got != want {
			t.Errorf("heard %d as number %d", got, want)
		}
	}
	if !table.Tell("a", 3, nil) || table.Len() != 1 {
		t.Error("the actor is not there any more")
	}
	close(again) // it may have heard that already, and goes when there is nothing more
	if got := <-heard; got != 3 {
		t.Errorf("heard %d", got)
	}
	table.Close()
	if table.Tell("a", 4, begin) || table.Len() != 0 {
		t.Error("an actor began after the end")
	}
}

// TestToldTwice: an actor that is told two things at once is woken for the second as well.
func TestToldTwice(t *testing.T) {
	var table Table[string, int]
	var b *Mailbox[string, int]
	begin := func(made *Mailbox[string, int]) func() { b = made; return func() {} }
	table.Tell("a", 1, begin)
	table.Tell("a", 2, begin)
	<-b.Wake()
	if n, ok := b.Hear(); !ok || n != 1 || b.Leave() {
		t.Fatalf("heard %d, %t", n, ok)
	}
	select {
	case <-b.Wake():
	default:
		t.Error("not told that there is more")
	}
	table.Close()
}
