package charge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/journal"
)

// TestCrowded exceeds what is kept interrupted of a contact, and of strangers together.
func TestCrowded(t *testing.T) {
	contact, honest := jid.MustParse("romeo@jet.test"), jid.MustParse("nurse@jet.test")
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var rows []journal.Row
	add := func(of jid.JID, id string, n int, change func(*journal.Row)) {
		for i := range n {
			row := journal.Row{Key: journal.Key{ID: fmt.Sprint(id, i)}, Peer: of, Moved: begin.Add(time.Duration(len(rows)) * time.Second)}
			change(&row)
			rows = append(rows, row)
		}
	}
	none := func(*journal.Row) {}
	bytes := func(r *journal.Row) { r.Durable = 1 }
	add(contact, "verified", 5, func(r *journal.Row) { r.Durable, r.Phase = 1, journal.PhaseVerified })
	add(contact, "old", 2, bytes)
	add(contact, "empty", 10, none)
	add(honest, "few", MaxInterruptedContact, none)
	add(contact, "moved", MaxInterruptedContact-1, bytes)
	for i := range MaxInterruptedContact + 1 {
		add(jid.MustParse(fmt.Sprintf("s%d@jet.test", i)), fmt.Sprint("stranger", i, "-"), 1, none)
	}
	var gone []string
	for _, row := range Crowded(rows, func(who jid.JID) jid.JID {
		if who == contact || who == honest {
			return who
		}
		return jid.JID{}
	}) {
		gone = append(gone, row.ID)
	}
	slices.Sort(gone)
	want := []string{"empty0", "empty1", "empty2", "empty3", "empty4", "empty5", "empty6", "empty7", "empty8", "empty9", "old0", "stranger0-0"}
	if !slices.Equal(gone, want) {
		t.Errorf("gone: %q", gone)
	}
}

// TestManyRows: what is done for each row does not grow with the rows.
func TestManyRows(t *testing.T) {
	const many = 200_000
	rows := make([]journal.Row, many)
	for i := range rows {
		rows[i] = journal.Row{Key: journal.Key{ID: fmt.Sprintf("%036d", i)}, Peer: jid.MustParse(fmt.Sprintf("u%d@jet.test", i%100))}
	}
	asked := 0
	out := Crowded(rows, func(who jid.JID) jid.JID { asked++; return who })
	if asked != many { // each with each would also be minutes
		t.Errorf("%d rows asked for %d times", many, asked)
	}
	if len(out) != many-100*MaxInterruptedContact {
		t.Errorf("%d beyond the bound", len(out))
	}
}
