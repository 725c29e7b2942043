package tally

import (
	"log/slog"
	"testing"

	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/set"
)

// partial is a target that has so much of every file.
type partial struct {
	quiet
	have int64
}

func (p partial) Entry(uint64, set.Entry, []set.Extent) (set.Want, error) {
	return set.Want{Have: p.have}, nil
}

func (partial) Write(uint64, int64, []byte) error { return nil }

// TestFollowKeeps: a file that is cut once more keeps what came in all sessions, unless its
// sender has begun anew.
func TestFollowKeeps(t *testing.T) {
	for name, c := range map[string]struct{ from, want int64 }{"goes on": {30, 40}, "begins anew": {0, 10}} {
		t.Run(name, func(t *testing.T) {
			h := handle(t, journal.Receive, 1)
			head := headOf(event.Receive)
			head.Transfer, head.Set = h.Row().ID, h.Row().ID
			r := NewRun(NewBook(func(event.Event) {}, nil).Open(head, 1, nil), h, slog.New(slog.DiscardHandler), 100)
			f := r.Follow(func(set.Outcome) {})
			f.Target = partial{have: 30}
			if err := f.Argument(0, set.Argument{Name: "a", Entries: 1, Bytes: 100}); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Entry(0, set.Entry{Kind: set.File, Size: 100, Extents: -1}, nil); err != nil {
				t.Fatal(err)
			}
			for i := range int64(2) {
				f.Moved(0, 5)
				if err := f.Write(0, c.from+5*i, make([]byte, 5)); err != nil {
					t.Fatal(err)
				}
			}
			if n := r.Close(true); n != c.want || h.Row().Durable != c.want {
				t.Errorf("%d bytes, %d in the row, want %d", n, h.Row().Durable, c.want)
			}
		})
	}
}
