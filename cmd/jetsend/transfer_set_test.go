package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"jetsend/internal/journal"
	"jetsend/internal/state"
)

// set makes a set with arguments in the state of the fixture's account, and ends its session.
func (f *fixture) set(row journal.Row, arguments []journal.Argument, end func(*journal.Handle) error) {
	f.t.Helper()
	ctx := f.t.Context()
	db, err := state.Open(ctx, state.Path(filepath.Join(f.env["HOME"], ".local/state/jetsend"), scriptAccount))
	if err != nil {
		f.t.Fatal(err)
	}
	j, err := journal.Open(ctx, db, time.Now)
	if err != nil {
		f.t.Fatal(err)
	}
	row.Source, row.Items, row.Path = journal.SourceSet, len(arguments), ""
	h, err := j.Begin(ctx, row)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return h.SetArguments(ctx, arguments) }, func() error { return h.UpdateArguments(ctx, arguments) },
		func() error { return h.Run(ctx) }, func() error { return end(h) }, h.Release, db.Close,
	} {
		if err := step(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// fourArguments are a directory in part, one with failures, a file that has arrived and one
// that has not.
func fourArguments() []journal.Argument {
	return []journal.Argument{
		{Number: 0, Name: "verona", Path: "/srv/verona", Folder: true, Size: 5e8, Entries: 40, Done: 12, Changed: 3, Equal: 4, Kept: 1, Durable: 2e8},
		{Number: 1, Name: "mantua", Path: "/srv/mantua", Folder: true, Size: 5e6, Entries: 9, Done: 7, Failed: 2, Durable: 4e6, State: journal.ArgumentPlaced, LastError: "permission\x1b denied"},
		{Number: 2, Name: "a\x1b.iso", Path: "/srv/a.iso", Size: 1000, Entries: 1, Done: 1, Durable: 1000, State: journal.ArgumentPlaced},
		{Number: 3, Name: "b.iso", Path: "/srv/b.iso", Size: 1000, Entries: 1},
	}
}

// interruptedSet has those arguments, and has lost its path.
func (f *fixture) interruptedSet() (row journal.Row, ids []string) {
	f.t.Helper()
	row = sentRow("aaaa0000")
	row.Name, row.Size = "verona and 3 more", 6e8
	f.set(row, fourArguments(), func(h *journal.Handle) error { return h.Interrupt(errors.New("transport lost")) })
	for i := range 4 {
		ids = append(ids, journal.ArgumentID(row.ID, i, 4))
	}
	return row, ids
}

// TestTransfersListsSets: each argument is a transfer, in its own state once it has come to its end.
func TestTransfersListsSets(t *testing.T) {
	f := newFixture(t)
	row, ids := f.interruptedSet()
	f.wants(0, nil, "transfers")
	want := `^` + short(ids[0]) + `  send  romeo@montague.example  verona\s+500 MB  12 of 40  interrupted  .*
` + short(ids[1]) + `  send  romeo@montague.example  mantua\s+5.0 MB  7 of 9    failed       .*
` + short(ids[2]) + `  send  romeo@montague.example  a.\.iso\s+1.0 kB  100 %     complete     .*
` + short(ids[3]) + `  send  romeo@montague.example  b\.iso\s+1.0 kB  -         interrupted  .*
$`
	if !regexp.MustCompile(want).MatchString(f.out.String()) {
		t.Errorf("listed:\n%s", f.out.String())
	}
	f.wants(0, nil, "--json", "transfers")
	var got []transferRecord
	for line := range strings.Lines(f.out.String()) {
		var r transferRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Set != row.ID || r.Transfer != ids[len(got)] {
			t.Errorf("%s in set %s", r.Transfer, r.Set)
		}
		got = append(got, r)
	}
	if a := got[0]; !a.Resumable || a.Path != "/srv/verona" || a.Entries != 40 || a.EntriesDone != 12 || a.New != 5 || a.Changed != 3 || a.Equal != 4 || a.Kept != 1 || a.Bytes != 2e8 || a.Reason != "transport lost" {
		t.Errorf("a directory in part: %+v", a)
	}
	if a := got[1]; a.Resumable || a.State != "failed" || a.EntriesFailed != 2 || a.Reason != "permission\ufffd denied" {
		t.Errorf("a directory with failures: %+v", a)
	}
	if a := got[2]; a.Resumable || a.State != "complete" || a.Entries != 0 || a.Reason != "" {
		t.Errorf("a file: %+v", a)
	}
	for state, want := range map[string]int{"interrupted": 2, "failed": 1, "complete": 1, "running": 0} {
		f.wants(0, nil, "transfers", "list", "--state", state)
		if n := strings.Count(f.out.String(), "\n"); n != want {
			t.Errorf("%d are %s:\n%s", n, state, f.out.String())
		}
	}
}

// TestTransfersShowsArguments: by its id one argument is shown, by that of the set all are listed.
func TestTransfersShowsArguments(t *testing.T) {
	f := newFixture(t)
	row, ids := f.interruptedSet()
	f.wants(0, nil, "transfers", "show", short(ids[0]))
	for _, want := range []string{
		"transfer       " + ids[0] + "\n", "name           verona\n", "so far         200 MB (200000000 bytes)\n", "file           /srv/verona\n",
		"entries        12 of 40 are there (5 new, 3 changed, 4 unchanged, 1 edited at the receiver and kept)\n",
		"together with  3 more, in the set " + row.ID + "\n", "last trouble   transport lost\n",
		"state          interrupted, to be resumed with `jetsend resume aaaa0000`\n",
	} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, f.out.String())
		}
	}
	f.wants(0, nil, "transfers", "show", ids[1])
	for _, want := range []string{"state          failed\n", "entries        7 of 9 are there, 2 failed\n", "last trouble   permission\ufffd denied\n"} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, f.out.String())
		}
	}
	f.wants(0, nil, "transfers", "show", "aaaa")
	if strings.Count(f.out.String(), "\n") != 4 || !strings.HasPrefix(f.out.String(), short(ids[0])) {
		t.Errorf("the set:\n%s", f.out.String())
	}
	// The one argument of a set has its id; a set may be cut before its arguments are known.
	only, bare := sentRow("bbbb0000"), sentRow("cccc0000")
	f.set(only, fourArguments()[:1], (*journal.Handle).Complete)
	f.wants(0, nil, "transfers", "show", "bbbb")
	if !strings.Contains(f.out.String(), "state        failed\n") || strings.Contains(f.out.String(), "together with") {
		t.Errorf("one:\n%s", f.out.String())
	}
	bare.Source, bare.Items, bare.Path = journal.SourceSet, 2, ""
	f.row(bare, journal.Interrupted, 0)
	f.wants(0, nil, "transfers", "show", "cccc")
	if !strings.Contains(f.out.String(), "transfer       "+bare.ID+"\n") {
		t.Errorf("none known:\n%s", f.out.String())
	}
}

// TestSetsAreResumedAndForgotten: as a whole, by the id of any argument.
func TestSetsAreResumedAndForgotten(t *testing.T) {
	f := newFixture(t)
	row, ids := f.interruptedSet()
	f.wants(0, nil, "resume", ids[3], ids[0], row.ID)
	if r := f.endpoint.resumed; len(r) != 1 || len(r[0].Transfers) != 1 || r[0].Transfers[0] != row.Key {
		t.Errorf("resumed %+v", r)
	}
	f.wants(0, nil, "__complete", "resume", ids[2][:4])
	if !strings.Contains(f.out.String(), short(ids[2])) {
		t.Errorf("completed:\n%s", f.out.String())
	}
	ended := sentRow("dddd0000")
	f.set(ended, fourArguments(), (*journal.Handle).Complete)
	whole := sentRow("eeee0000")
	file := fourArguments()[2]
	file.Number = 0
	f.set(whole, []journal.Argument{file}, (*journal.Handle).Complete)
	f.wants(0, []string{"eeee0000 (a.iso) is forgotten"}, "transfers", "forget", "--state", "complete")
	f.wants(0, []string{"dddd0000 (a.iso) is forgotten"}, "transfers", "forget", "--state", "failed")
	f.wants(0, []string{"aaaa0000 (verona and 3 more) is forgotten"}, "transfers", "forget", ids[1])
	f.wants(2, []string{"there is no transfer"}, "transfers", "show", ids[0])
	f.wants(0, []string{"no transfers yet"}, "transfers")
}
