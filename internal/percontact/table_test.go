package percontact_test

import (
	"fmt"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/percontact"
)

// TestTable: to each his own, up to the limit; beyond it one for all, unless some are idle.
func TestTable(t *testing.T) {
	type account struct{ idle bool }
	who := func(i int) jid.JID { return jid.MustParse(fmt.Sprintf("c%d@capulet.example", i)) }
	idle := func(a *account) bool { return a.idle }
	var table percontact.Table[account]
	get := func(i int, idle func(*account) bool) *account {
		return table.Account(who(i), 2, func() *account { return &account{} }, idle)
	}
	a, b := get(1, idle), get(2, idle)
	if a == b || get(1, idle) != a || get(2, idle) != b {
		t.Fatal("not one for each")
	}
	others := get(3, idle)
	if others == a || others == b || get(4, idle) != others {
		t.Error("beyond the limit they do not share one")
	}
	a.idle = true
	if get(5, nil) != others || get(1, nil) != a {
		t.Error("an idle one is forgotten though none may be")
	}
	if c := get(5, idle); c == others || get(1, idle) != others || get(2, idle) != b {
		t.Error("an idle one makes no room")
	}
}
