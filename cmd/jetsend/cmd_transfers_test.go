package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"jetsend/internal/journal"
)

func TestTransfersList(t *testing.T) {
	f := newFixture(t)
	delete(f.env, "JETSEND_PASSWORD")
	f.wants(0, []string{"no transfers yet"}, "transfers")
	if exists(filepath.Join(f.env["HOME"], ".local")) {
		t.Error("looking at transfers made a state directory")
	}
	evil := receivedRow(t, "bbbb0000")
	evil.Name = "b\x1b[2J\u202etxt.exe"
	f.row(sentRow("aaaa0000"), journal.Interrupted, 459)
	f.row(evil, journal.Complete, 1000)
	f.wants(0, nil, "transfers", "list")
	const want = `^aaaa0000  send     romeo@montague.example  a\.iso\s+1\.0 kB  45 %   interrupted  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d
bbbb0000  receive  romeo@montague.example  b�\[2J�txt\.exe  1\.0 kB  100 %  complete     \d{4}-\d\d-\d\d \d\d:\d\d:\d\d
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
		got = append(got, r)
	}
	if len(got) != 2 || got[0].Transfer != uuidOf("aaaa0000") || !got[0].Resumable || got[0].Bytes != 459 || got[0].Path != "/srv/a.iso" ||
		got[0].Reason != "transport lost" || got[0].Finished != "" || got[1].Resumable || got[1].State != "complete" || got[1].Finished == "" ||
		got[1].Path != filepath.Join(evil.Dir, "placed") || got[1].Directory != evil.Dir {
		t.Errorf("listed %+v", got)
	}
	if len(f.dialled) > 0 {
		t.Error("went online")
	}
}

func TestTransfersShow(t *testing.T) {
	f := newFixture(t)
	f.row(sentRow("aaaa0000"), journal.Interrupted, 459)
	foreign := receivedRow(t, "bbbb0000")
	foreign.Profile = false
	f.row(foreign, journal.Interrupted, 3)
	f.wants(0, nil, "transfers", "show", "aaaa")
	for _, want := range []string{
		"transfer      " + uuidOf("aaaa0000"), "size          1.0 kB (1000 bytes)", "so far        45 % (459 bytes)",
		"state         interrupted, to be resumed with `jetsend resume aaaa0000`", "last trouble  transport lost", "file          /srv/a.iso",
		"key           00000000 00000000",
	} {
		if !strings.Contains(f.out.String(), "\n"+want) && !strings.HasPrefix(f.out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, f.out.String())
		}
	}
	f.wants(0, nil, "transfers", "show", "bbbb")
	if !strings.Contains(f.out.String(), "cannot be resumed") || !strings.Contains(f.out.String(), foreign.Dir) {
		t.Errorf("shown:\n%s", f.out.String())
	}
	f.row(sentRow("cccc0000"), journal.Running, 0)
	f.wants(0, nil, "transfers", "show", "cccc")
	if !strings.Contains(f.out.String(), "so far       not known before the receiver says it") {
		t.Errorf("shown:\n%s", f.out.String())
	}
	f.wants(0, nil, "--json", "transfers", "show", "bbbb")
	if strings.Count(f.out.String(), "\n") != 1 || !strings.Contains(f.out.String(), `"event":"transfer","transfer":"bbbb0000-`) {
		t.Errorf("shown:\n%s", f.out.String())
	}
	f.wants(2, []string{"there is no transfer dddd"}, "transfers", "show", "dddd")
	f.wants(2, nil, "transfers", "show")
	f.wants(2, nil, "transfers", "show", "aaaa", "bbbb")
}

func TestTransfersForget(t *testing.T) {
	f := newFixture(t)
	in := receivedRow(t, "bbbb0000")
	gone := receivedRow(t, "dddd0000")
	f.row(sentRow("aaaa0000"), journal.Interrupted, 459)
	f.row(in, journal.Interrupted, 3)
	f.row(gone, journal.Interrupted, 3)
	f.row(sentRow("cccc0000"), journal.Running, 3)
	partial := filepath.Join(in.Dir, ".jetsend-"+in.ID+".part")
	if !exists(partial) {
		t.Fatal("no partial file to begin with")
	}
	if err := os.RemoveAll(gone.Dir); err != nil {
		t.Fatal(err)
	}
	f.wants(12, []string{"cccc0000 (a.iso) is running in another process", "hint: wait until it ends"}, "transfers", "forget", "aaaa", "bbbb", "cccc")
	f.wants(2, nil, "transfers", "forget", "aaaa", "nonsense")
	f.wants(2, nil, "transfers", "forget")
	if f.wants(0, nil, "transfers"); strings.Count(f.out.String(), "\n") != 4 || !exists(partial) {
		t.Errorf("something was forgotten:\n%s", f.out.String())
	}
	f.wants(0, []string{"bbbb0000 (a.iso) is forgotten"}, "transfers", "forget", "aaaa", "bbbb", "dddd")
	if f.wants(0, nil, "transfers"); strings.Count(f.out.String(), "\n") != 1 || exists(partial) {
		t.Errorf("left, partial file %v:\n%s", exists(partial), f.out.String())
	}
	f.wants(2, nil, "transfers", "show", "aaaa")
	f.wants(2, nil, "resume", "aaaa")
}
