package contact

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// TestReplacedResource: a resource in whose place another one was taken comes last, and
// the other one counts as the client that a transfer was offered to before.
func TestReplacedResource(t *testing.T) {
	const ghost, now, other = "juliet@jet.test/jetsend.0a0a0a0a", "juliet@jet.test/jetsend.0a0a0a0a.ABCDEFGH", "juliet@jet.test/jetsend.0b0b0b0b"
	var all []session.Resource
	var peers []*Peer
	for _, full := range []string{ghost, other, now} {
		all = append(all, session.Resource{JID: jid.MustParse(full)})
	}
	var got []string
	for _, r := range replacedLast(all) {
		got = append(got, r.JID.String())
		peers = append(peers, &Peer{JID: r.JID, Form: dialect.FormJetsend})
	}
	if !slices.Equal(got, []string{other, now, ghost}) {
		t.Errorf("%q", got)
	}
	for _, last := range []string{"jetsend.0a0a0a0a", "jetsend.0a0a0a0a.ZYXW"} {
		got = nil
		for _, p := range Prefer(peers, last) {
			got = append(got, p.JID.String())
		}
		if !slices.Equal(got, []string{now, ghost, other}) {
			t.Errorf("after %s: %q", last, got)
		}
	}
	begun := time.Now()
	for _, tt := range []struct {
		of, by string
		after  time.Duration
		is     dialect.Software
		want   bool
	}{
		{ghost, now, time.Minute, dialect.Jetsend, true},
		{now, ghost, time.Minute, dialect.Jetsend, true}, // the first ghost is gone, and its name is free
		{now, ghost + ".BCDEFGHI", time.Minute, dialect.Jetsend, true},
		{now, ghost + ".BCDEFGHI", burst, dialect.Jetsend, false}, // both were there
		{ghost, other, time.Minute, dialect.Jetsend, false},
		{ghost, ghost, time.Minute, dialect.Jetsend, false}, // the same, with another presence
		{"juliet@jet.test/a.b", "juliet@jet.test/a.b.c", time.Minute, dialect.OtherClient, false},
	} {
		p := &Peer{JID: jid.MustParse(tt.of), Software: tt.is, Seen: begun}
		if got := p.ReplacedAmong([]session.Resource{{JID: jid.MustParse(tt.by), Seen: begun.Add(tt.after)}}); got != tt.want {
			t.Errorf("%s replaced by %s after %v: %t", tt.of, tt.by, tt.after, got)
		}
	}
	if got := Prefer(peers, "Conversations.x")[0].JID.String(); got != other {
		t.Errorf("another client is taken for a receiver: %s", got)
	}
}

// TestWhileThere: a receiver that was killed and has come back is not waited for, and
// nobody watches any more after the end.
func TestWhileThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		f := &Finder{Account: s}
		p := &Peer{JID: jid.MustParse("juliet@jet.test/jetsend.0a0a0a0a"), Software: dialect.Jetsend, Seen: time.Now()}
		ctx, stop := f.WhileThere(t.Context(), p)
		s.comes("other")
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error(context.Cause(ctx))
		}
		time.Sleep(time.Minute)
		s.comes("jetsend.0a0a0a0a" + session.OtherResource + "ABCDEFGH")
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), fault.ErrNotThere) {
			t.Error(context.Cause(ctx))
		}
		stop()
	})
}
