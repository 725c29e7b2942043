package journal

import (
	_ "embed"
	"testing"
)

// version10 is a state file that holds a row of each kind, as the program wrote them when
// the journal had ten steps: the last of those that knew no sets.
//
//go:embed testdata/version10.sql
var version10 string

// TestVersion10: no row of a version without sets is one, and all say what they said.
func TestVersion10(t *testing.T) {
	k := fromDump(t, version10, version8Time)
	for n, want := range migrations8 {
		row := k.load(Key{old(n), want.direction})
		if row.Items != 0 || row.Source != want.source || row.State != want.state || row.Durable != want.durable || row.Phase != want.phase {
			t.Errorf("%d: %+v", n, row)
		}
		if (row.Exclude != "") != (n == 20) {
			t.Errorf("%d: patterns %q", n, row.Exclude)
		}
		if arguments, err := k.ArgumentsOf(t.Context(), row.Key); err != nil || len(arguments) > 0 {
			t.Errorf("%d: arguments %v, %v", n, arguments, err)
		}
	}
	set := sentSet(newID(), 2)
	h := k.begin(set)
	if err := h.SetArguments(t.Context(), twoArguments()); err != nil {
		t.Fatal(err)
	}
	if row, err := k.FindSet(t.Context(), set.Peer, twoArguments()); err != nil || row.ID != set.ID {
		t.Errorf("found %s, %v", row.ID, err)
	}
	for _, n := range []int{1, 20, 27} { // what was there goes on beside it
		k.release(k.begin(k.load(Key{old(n), migrations8[n].direction})))
	}
}
