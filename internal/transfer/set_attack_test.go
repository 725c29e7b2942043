package transfer

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/xmpptest"
)

// sealed is a dialect that has an offer.
type sealed struct {
	dialect.Dialect
	offer *profile.Offer
}

func (s sealed) Sealed() *profile.Offer { return s.offer }

// TestSetListedAgain: names that XML cannot hold are no other names, in the offer, in the
// index, and when the set goes on.
func TestSetListedAgain(t *testing.T) {
	st := setsStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from := t.TempDir()
	plantTree(t, from, "tab\there \x01\xff &<", "work\xfe/x")
	if err := st.sendNamed(t, filepath.Join(from, "tab\there \x01\xff &<"), filepath.Join(from, "work\xfe")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(every[event.Received](&st.in)) == 2 })
	rows, err := st.juliet.journal.List(t.Context(), journal.Filter{})
	if err != nil || len(rows) != 1 || rows[0].Entries != 3 {
		t.Fatalf("%+v, %v", rows, err)
	}
	known := rows[0]
	known.State = journal.Interrupted
	offer := func(change func(*profile.Set)) *incoming {
		s := &profile.Set{Items: 2, Entries: 3, Bytes: known.Size, Listed: []profile.Listed{
			{Name: profile.AsListed("tab\there \x01\xff &<")}, {Name: profile.AsListed("work\xfe"), Directory: true},
		}}
		change(s)
		return &incoming{e: &st.juliet.core, d: sealed{offer: &profile.Offer{Set: s}}, file: &jingle.File{Name: known.Name, Size: s.Bytes}}
	}
	for name, c := range map[string]struct {
		change func(*profile.Set)
		ok     bool
	}{
		"the same":             {func(*profile.Set) {}, true},
		"less":                 {func(s *profile.Set) { s.Entries, s.Bytes = 2, s.Bytes-1 }, true},
		"more entries":         {func(s *profile.Set) { s.Entries = 4 }, false},
		"more bytes":           {func(s *profile.Set) { s.Bytes++ }, false},
		"more items":           {func(s *profile.Set) { s.Items = 3 }, false},
		"another name":         {func(s *profile.Set) { s.Listed[1].Name = "evil" }, false},
		"a file, no directory": {func(s *profile.Set) { s.Listed[1].Directory = false }, false},
	} {
		if got := offer(c.change).goesOn(known); got != c.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestSetGrown: a set that has more now than was offered is not handed out to who asks for
// its rest; a new offer says how much it is.
func TestSetGrown(t *testing.T) {
	st := setsStage(t, xmpptest.CutAt(4<<20))
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from, id := st.cutSet(t)
	plantTree(t, from, "work/new")
	serving := receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	stop()
	var f *fault.Failure
	err := st.juliet.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{{ID: id, Direction: journal.Receive}}, Named: true, Wait: time.Minute})
	if !errors.As(err, &f) || f.Code == exitcode.OK {
		t.Error(err)
	}
	serving()
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	if err := st.romeo.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{{ID: id, Direction: journal.Send}}, Named: true, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	st.arrivedAs(t, from)
}
