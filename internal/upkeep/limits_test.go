package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// idle is a device that has nothing to do, and ends the test when it is asked for more.
type idle struct{ Device }

func (idle) KeepAnnounced(context.Context, omemo.PEP) (time.Duration, error) { return 0, nil }
func (idle) DueSteps(context.Context) ([]omemo.Device, error)                { return nil, nil }

// unconnected is the upkeep of an account without a server, for what is decided before
// one is needed.
func unconnected() *Upkeep {
	s := session.New(session.Config{JID: jid.MustParse("juliet@jet.test"), Password: func(context.Context) (string, error) { return "", nil }})
	return New(s, idle{}, slog.New(slog.DiscardHandler))
}

// begun is such a one at work until the test ends.
func begun(t *testing.T) *Upkeep {
	t.Helper()
	u := unconnected()
	u.Begin(t.Context())
	t.Cleanup(u.Close)
	return u
}

// TestChoresAreBounded exceeds what may wait for the chores of our own, and for those of
// others.
func TestChoresAreBounded(t *testing.T) {
	gate := make(chan struct{})
	shut := func(context.Context, task) { <-gate }
	own := unconnected()
	own.work.begin(t.Context(), shut)
	for i := range 2 * maxChores {
		taken := own.Chore("nothing", func(context.Context) error { return nil }) // does not block
		if taken != (i < maxChores) {
			t.Errorf("chore %d: taken is %v", i, taken)
		}
	}
	if n := len(own.work.of[ours]); n != maxChores {
		t.Errorf("%d chores wait", n)
	}
	// The data of somebody else's that one of them holds is bounded, too.
	other := jid.MustParse("juliet@jet.test/other")
	for keys, want := range map[int]int{400: 2, 2000: 0} {
		u := unconnected()
		gate := make(chan struct{})
		u.work.begin(t.Context(), func(context.Context, task) { <-gate })
		encrypted := xmltree.New(omemo.NS, "encrypted", xmltree.New(omemo.NS, "header"))
		for range keys {
			encrypted.Children[0].Add(xmltree.New(omemo.NS, "key").Set("rid", "1234567890").SetText(strings.Repeat("a", 250)))
		}
		u.HandleEncrypted(t.Context(), stanza.Message{From: other, Children: []*xmltree.Element{encrypted}})
		u.HandleList(t.Context(), other, xmltree.New("", "item", xmltree.New(omemo.NS, "list", encrypted.Children...)))
		waiting := func() int { return len(u.work.of[other.Bare()]) } // nobody takes one while the gate is shut
		if waiting() != want || len(u.work.of[ours]) != 0 {
			t.Errorf("%d keys: %d errands and %d chores wait, want %d", keys, waiting(), len(u.work.of[ours]), want)
		}
		for range 2 * maxErrands {
			u.HandleList(t.Context(), other, xmltree.New("", "item"))
			u.HandleList(t.Context(), other, xmltree.New("", "item", xmltree.New(omemo.NS, "list")))
		}
		if waiting() != maxErrands {
			t.Errorf("%d errands of one contact wait", waiting())
		}
		for i := range 2 * maxAllErrands {
			u.errand(jid.MustParse(fmt.Sprintf("n%d@jet.test", i)), "nothing", func(context.Context) error { return nil })
		}
		if u.work.errands != maxAllErrands {
			t.Errorf("%d errands of all wait", u.work.errands)
		}
		if !u.Chore("nothing", nil) {
			t.Error("the errands of others leave no room for a chore")
		}
		close(gate)
		u.Close()
		if len(u.work.of) != 0 || u.work.errands != 0 || u.work.add(other, task{}) {
			t.Errorf("still counted: %v", u.work.of)
		}
	}
	close(gate)
	own.Close()
}

// TestErrandsOfOthers: somebody whose errands take for ever keeps nobody else's
// waiting, and none of ours.
func TestErrandsOfOthers(t *testing.T) {
	u := begun(t)
	for range maxErrands {
		u.errand(jid.MustParse("tybalt@jet.test/x"), "waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	}
	theirs, own := make(chan struct{}), make(chan struct{})
	u.errand(jid.MustParse("romeo@jet.test/x"), "is done", func(context.Context) error { close(theirs); return nil })
	u.Chore("is done", func(context.Context) error { close(own); return nil })
	<-theirs
	<-own
}
