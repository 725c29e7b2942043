package main

import (
	"testing"
	"time"

	"jetsend/internal/journal"
)

// TestChoosingByState: a choice is by a state of the journal, or by the word that a list
// shows for it; what is paused is interrupted as well, and what was declined has failed.
func TestChoosingByState(t *testing.T) {
	rows := []journal.Row{
		{Name: "cut", State: journal.Interrupted},
		{Name: "here", State: journal.Interrupted, Paused: journal.PausedHere},
		{Name: "there", State: journal.Interrupted, Paused: journal.PausedThere},
		{Name: "broken", State: journal.Failed},
		{Name: "unwanted", State: journal.Failed, Declined: true},
	}
	for state, want := range map[string]string{
		"": "cut here there broken unwanted ", "interrupted": "cut here there ", "paused": "here there ",
		"failed": "broken unwanted ", "declined": "unwanted ", "complete": "",
	} {
		got := ""
		chosen, err := (&choosing{state: choice{value: state}}).of(t.Context(), noTransfers{}, rows, time.Time{})
		for _, r := range chosen {
			got += r.Name + " "
		}
		if err != nil {
			t.Error(err)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", state, got, want)
		}
	}
}
