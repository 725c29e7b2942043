package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/state"
)

// stateCommands make what only a transfer would make otherwise.
func stateCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"transfer": cmdTransfer,
		"knows":    cmdKnows,
	}
}

// scriptAccount is whose state scripts make.
var scriptAccount = jid.MustParse("juliet@capulet.example")

// cmdTransfer makes a row of the journal:
//
//	transfer STATE DIRECTION ID PEER NAME SIZE DURABLE [foreign]
//
// A running one is held until the script ends. foreign: the peer is no jetsend.
// The source or the download directory is $WORK. A partial file is made for
// what is received and not whole.
func cmdTransfer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 7 {
		ts.Fatalf("usage: transfer STATE DIRECTION ID PEER NAME SIZE DURABLE [foreign]")
	}
	size, err := strconv.ParseInt(args[5], 10, 64)
	ts.Check(err)
	durable, err := strconv.ParseInt(args[6], 10, 64)
	ts.Check(err)
	path := state.Path(filepath.Join(ts.Getenv("HOME"), ".local/state/jetsend"), scriptAccount)
	row := journal.Row{
		Key: journal.Key{ID: args[2], Direction: journal.Direction(args[1])}, Peer: jid.MustParse(args[3]), Resource: "jetsend.5e6f7a8b",
		Profile: len(args) == 7, Name: args[4], Size: size, Source: journal.SourceFile, MTime: time.Unix(1e9, 0), Keys: [][]byte{append([]byte{5}, bytes.Repeat([]byte{0xab}, 32)...)},
	}
	if row.Direction == journal.Send {
		row.Path = ts.MkAbs("source")
	} else {
		row.Dir = ts.MkAbs(".")
	}
	end, err := makeRow(path, row, journal.State(args[0]), durable)
	ts.Check(err)
	ts.Defer(func() { ts.Check(end()) })
}

// makeRow takes a new row to a state. The function that it returns gives the
// lock and the database back.
func makeRow(path string, row journal.Row, to journal.State, durable int64) (end func() error, err error) {
	ctx := context.Background()
	db, err := state.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(ctx, db, time.Now)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	h, err := j.Begin(ctx, row)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	end = func() error { return errors.Join(h.Release(), db.Close()) }
	steps := []func() error{
		func() error { return h.Run(ctx) },
		func() error { return h.Progress(ctx, durable) },
	}
	partial := filepath.Join(row.Dir, ".jetsend-"+row.ID+".part")
	if row.Direction == journal.Receive && to != journal.Complete {
		steps = append(steps, func() error { return os.WriteFile(partial, bytes.Repeat([]byte{1}, int(durable)), 0o600) })
	}
	switch to {
	case journal.Offered:
		steps = nil
	case journal.Running:
	case journal.Interrupted:
		steps = append(steps, func() error { return h.Interrupt(errors.New("transport lost")) }, h.Release)
	case journal.Failed:
		steps = append(steps, func() error { return h.Fail(errors.New("tag is wrong\x1b[2J")) }, h.Release)
	case journal.Complete:
		if row.Direction == journal.Receive {
			steps = append(steps, func() error { return h.Place(filepath.Join(row.Dir, "placed"), nil) })
		}
		steps = append(steps, h.Complete, h.Release)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, errors.Join(err, end())
		}
	}
	return end, nil
}

// cmdKnows makes a contact's device known: knows JID ID FINGERPRINT [gone]
func cmdKnows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: knows JID ID FINGERPRINT [gone]")
	}
	id, err := strconv.ParseUint(args[1], 10, 31)
	ts.Check(err)
	path := state.Path(filepath.Join(ts.Getenv("HOME"), ".local/state/jetsend"), scriptAccount)
	ts.Check(makeDevice(path, args[0], uint32(id), args[2], len(args) == 3))
}

// makeDevice writes what would be learnt from a device list and a bundle.
func makeDevice(path, of string, id uint32, fingerprint string, active bool) error {
	ctx := context.Background()
	db, err := state.Open(ctx, path)
	if err != nil {
		return err
	}
	_, err = omemo.Open(ctx, db, scriptAccount, omemo.Config{})
	key, herr := hex.DecodeString("05" + fingerprint)
	if err = errors.Join(err, herr); err == nil {
		const add = `INSERT INTO devices (jid, device, identity_key, active, is_new, first_seen, last_used) VALUES (?, ?, ?, ?, 1, 1, 0) ON CONFLICT DO NOTHING`
		_, err = db.ExecContext(ctx, add, of, id, key, active)
	}
	return errors.Join(err, db.Close())
}

// row makes a row in the state of the fixture's account.
func (f *fixture) row(row journal.Row, to journal.State, durable int64) {
	f.t.Helper()
	end, err := makeRow(state.Path(filepath.Join(f.env["HOME"], ".local/state/jetsend"), scriptAccount), row, to, durable)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := end(); err != nil {
			f.t.Error(err)
		}
	})
}

// sentRow and receivedRow are transfers with romeo; n is the beginning of the id.
func sentRow(n string) journal.Row {
	return journal.Row{
		Key: journal.Key{ID: uuidOf(n), Direction: journal.Send}, Peer: jid.MustParse("romeo@montague.example"), Profile: true,
		Name: "a.iso", Path: "/srv/a.iso", Size: 1000, Source: journal.SourceFile, MTime: time.Unix(1e9, 0), Keys: [][]byte{append([]byte{5}, make([]byte, 32)...)},
	}
}

func receivedRow(t *testing.T, n string) journal.Row {
	r := sentRow(n)
	r.Direction, r.Path, r.Dir = journal.Receive, "", t.TempDir()
	return r
}

// uuidOf makes a UUID that begins with n.
func uuidOf(n string) string {
	const rest = "00000000-1b2c-4d3e-8f90-a1b2c3d4e5f6"
	return strings.ToLower(n) + rest[len(n):]
}
