package acquaint

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/invite"
	"jetsend/internal/state"
)

// TestBook: how many invitations there may be, and how long what has ended is kept.
func TestBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{}
		juliet, romeo := s.somebody(t, julietJID), s.somebody(t, romeoJID)
		juliet.issues(Terms{For: time.Hour})
		const many = `INSERT INTO invitations WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i < ?)
			SELECT randomblob(16), redeem_key, confirm_key, names, '', 0, 1, 0, created, expires, 0, 0 FROM n, (SELECT * FROM invitations)`
		if err := state.Exec(t.Context(), juliet.keys.db, many, MaxIssued); err != nil {
			t.Fatal(err)
		}
		names, err := Names(t.Context(), juliet.keys)
		if err != nil {
			t.Fatal(err)
		}
		l := invite.NewLink(juliet.account.self, names)
		if err := juliet.Book.Issue(t.Context(), l, Terms{Uses: 1, For: time.Hour}); !errors.Is(err, ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		time.Sleep(2 * time.Hour)
		count := func(want int) {
			t.Helper()
			if all, err := juliet.Book.List(t.Context()); err != nil || len(all) != want {
				t.Errorf("%d invitations, want %d: %v", len(all), want, err)
			}
		}
		late := juliet.issues(Terms{For: time.Hour})
		count(MaxIssued + 1)
		romeo.takes(late)
		time.Sleep(keepEnded)
		if _, err := OpenBook(t.Context(), juliet.keys.db, time.Now); err != nil { // which sweeps
			t.Fatal(err)
		}
		count(1)
		if all, err := romeo.Book.Taken(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
		time.Sleep(time.Hour)
		if all, err := romeo.Book.Taken(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("after a month: %v, %v", all, err)
		}
	})
}
