package jingle

import (
	"fmt"
	"strings"
	"testing"
)

// Every action in every state, as the responder and as the initiator. A cell
// is the next state, "." for the same one, "!" for out of order, "t" for a tie
// break, "x" for an unknown session.
const receivedTable = `
                    initiating pending    active      replacing   answering streaming   ended
session-initiate    -,!        !,!        !,!         !,!         !,!       !,!         x,x
session-accept      -,active   !,active   !,!         !,!         !,!       !,!         x,x
session-terminate   -,ended    ended,ended ended,ended ended,ended ended,ended ended,ended x,x
session-info        -,.        .,.        .,.         .,.         .,.       .,.         x,x
transport-info      -,.        .,.        .,.         .,.         .,.       .,.         x,x
transport-replace   -,!        !,!        answering,. answering,t !,!       !,!         x,x
transport-accept    -,!        !,!        !,!         active,active !,!     !,!         x,x
transport-reject    -,!        !,!        !,!         active,active !,!     !,!         x,x
description-info    -,.        .,.        .,.         .,.         .,.       .,.         x,x
security-info       -,.        .,.        .,.         .,.         .,.       .,.         x,x
content-add         -,.        .,.        .,.         .,.         .,.       .,.         x,x
content-modify      -,.        .,.        .,.         .,.         .,.       .,.         x,x
content-remove      -,.        .,.        .,.         .,.         .,.       .,.         x,x
content-accept      -,!        !,!        !,!         !,!         !,!       !,!         x,x
content-reject      -,!        !,!        !,!         !,!         !,!       !,!         x,x
`

const sentTable = `
                    initiating pending    active      replacing   answering streaming   ended
session-initiate    -,!        !,!        !,!         !,!         !,!       !,!         x,x
session-accept      -,!        active,!   !,!         !,!         !,!       !,!         x,x
session-terminate   -,ended    ended,ended ended,ended ended,ended ended,ended ended,ended x,x
session-info        -,!        .,.        .,.         .,.         .,.       .,.         x,x
transport-info      -,!        .,.        .,.         .,.         .,.       .,.         x,x
transport-replace   -,!        !,!        replacing,replacing !,! !,!       !,!         x,x
transport-accept    -,!        !,!        !,!         !,!         active,active !,!     x,x
transport-reject    -,!        !,!        !,!         !,!         active,active !,!     x,x
description-info    -,!        !,!        !,!         !,!         !,!       !,!         x,x
security-info       -,!        !,!        !,!         !,!         !,!       !,!         x,x
content-add         -,!        !,!        !,!         !,!         !,!       !,!         x,x
content-modify      -,!        !,!        !,!         !,!         !,!       !,!         x,x
content-remove      -,!        !,!        !,!         !,!         !,!       !,!         x,x
content-accept      -,!        !,!        !,!         !,!         !,!       !,!         x,x
content-reject      -,!        .,.        .,.         .,.         .,.       .,.         x,x
`

// cell renders what the state machine says.
func cell(st State, initiator bool, e input) string {
	to, v := next(st, initiator, e)
	if v != allowed && to != st {
		return fmt.Sprintf("refused but went to %s", to)
	}
	switch {
	case v == outOfOrder:
		return "!"
	case v == tieBreak:
		return "t"
	case v == unknownSession:
		return "x"
	case to == st:
		return "."
	}
	return to.String()
}

func TestStateTable(t *testing.T) {
	for kind, table := range map[inputKind]string{received: receivedTable, sent: sentTable} {
		lines := strings.Split(strings.TrimSpace(table), "\n")
		states := strings.Fields(lines[0])
		if len(states) != int(Ended)+1 || len(lines) != 1+15 {
			t.Fatalf("table of %d states and %d actions", len(states), len(lines)-1)
		}
		for _, line := range lines[1:] {
			f := strings.Fields(line)
			action := Action(f[0])
			if !action.known() || len(f) != 1+len(states) {
				t.Fatalf("row %q", line)
			}
			for i, want := range f[1:] {
				st := State(i)
				if st.String() != states[i] {
					t.Fatalf("column %d is %s", i, st)
				}
				resp, init, _ := strings.Cut(want, ",")
				e := input{kind, action}
				if got := cell(st, false, e); resp != "-" && got != resp { // a responder never initiates
					t.Errorf("responder, %s, %v %s: %s, want %s", st, kind, action, got, resp)
				}
				if got := cell(st, true, e); got != init {
					t.Errorf("initiator, %s, %v %s: %s, want %s", st, kind, action, got, init)
				}
			}
		}
	}
}

func TestOwnEvents(t *testing.T) {
	for _, tt := range []struct {
		kind inputKind
		want string // for each state
	}{
		{acked, "pending . . . . . x"},
		{began, "! ! streaming ! streaming ! x"},
		{aborted, "ended ended ended ended ended ended x"},
	} {
		for i, want := range strings.Fields(tt.want) {
			if got := cell(State(i), true, input{kind: tt.kind}); got != want {
				t.Errorf("%s, input %d: %s, want %s", State(i), tt.kind, got, want)
			}
		}
	}
	if got := State(99).String(); got != "state 99" {
		t.Error(got)
	}
	if Action("session-hello").known() || Action("").known() {
		t.Error("unknown action is known")
	}
}
