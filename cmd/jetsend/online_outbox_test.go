//go:build linux

package main

import (
	"bytes"
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// cmdReopen has an entry of the outbox wait once more, as when the process had died before it
// noted the end.
func cmdReopen(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "reopen USER ID")
	db, err := state.Open(context.Background(), state.Path(ts.MkAbs("state-"+args[0]), jid.MustParse(args[0]+"@jet.test")))
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	ts.Check(state.Exec(context.Background(), db, `UPDATE outbox SET state = 'waiting', ended = NULL WHERE id = ?`, args[1]))
}

// cmdOtherKey has a user know other keys of a contact's devices than they have, as if those had changed.
func cmdOtherKey(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "otherkey USER CONTACT")
	db, err := state.Open(context.Background(), state.Path(ts.MkAbs("state-"+args[0]), jid.MustParse(args[0]+"@jet.test")))
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	other := append([]byte{5}, bytes.Repeat([]byte{0xab}, 32)...)
	ts.Check(state.Exec(context.Background(), db, `UPDATE devices SET identity_key = ? WHERE jid = ?`, other, args[1]))
}
