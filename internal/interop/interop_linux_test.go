package main

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ids(cells []cell) []string {
	var out []string
	for _, c := range cells {
		out = append(out, c.id())
	}
	return out
}

func TestCellsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range allCells() {
		if seen[c.id()] || c.run == nil || c.about == "" {
			t.Errorf("%s: named twice (%v), or without a function or a description", c.id(), seen[c.id()])
		}
		seen[c.id()] = true
	}
}

func TestSelectCells(t *testing.T) {
	k, l := serverKind{name: "prosody"}, serverKind{name: "ejabberd"}
	all := []cell{{kind: k, name: "rig-a"}, {kind: k, name: "send-a"}, {kind: l, name: "rig-a"}, {kind: l, name: "send-a"}}
	for _, c := range []struct {
		patterns string
		want     []string
	}{
		{"", ids(all)},
		{"prosody", []string{"prosody/rig-a", "prosody/send-a"}},
		{"rig-*", []string{"prosody/rig-a", "ejabberd/rig-a"}},
		{"ejabberd/rig-a,prosody/*,rig-a", []string{"prosody/rig-a", "prosody/send-a", "ejabberd/rig-a"}},
	} {
		got, err := selectCells(all, c.patterns)
		if err != nil {
			t.Errorf("%q: %v", c.patterns, err)
		}
		if diff := cmp.Diff(c.want, ids(got)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.patterns, diff)
		}
	}
	for _, bad := range []string{"nobody", "rig-a,nobody", "[", "rig-a,"} {
		if got, err := selectCells(all, bad); err == nil {
			t.Errorf("%q: selected %v", bad, ids(got))
		}
	}
}

func TestPackagesOfTheCellsAlone(t *testing.T) {
	packages := func(needs ...string) string {
		var cells []cell
		for _, n := range needs {
			cells = append(cells, cell{needs: n})
		}
		return " " + strings.Join(debianPackages(cells), " ") + " "
	}
	for _, c := range []struct {
		needs    []string
		has, not string
	}{
		{[]string{clientDino}, " dino-im ", " gajim "},
		{[]string{clientGajim}, " gajim ", " dino-im "},
		{[]string{clientLibervia}, " libervia-cli ", " xvfb "},
		{[]string{clientDino, clientGajim}, " xvfb ", " libervia-backend "},
		{nil, " prosody ", " xvfb "},
	} {
		got := packages(c.needs...)
		if !strings.Contains(got, c.has) || strings.Contains(got, c.not) || strings.Count(got, c.has) != 1 {
			t.Errorf("%q: %s", c.needs, got)
		}
	}
}

func TestBetween(t *testing.T) {
	begin := time.Date(2026, 11, 21, 20, 15, 0, 0, time.UTC)
	c := &command{events: []event{{Event: "online", Time: begin}, {Event: "offer", Time: begin.Add(time.Second)}}}
	if note, err := c.between("online", "offer", 2*time.Second); err != nil || note != "1s" {
		t.Errorf("got %q, %v", note, err)
	}
	if note, err := c.between("online", "offer", time.Second); err == nil {
		t.Errorf("a second is no second: %q", note)
	}
	if note, err := c.between("online", "sent", time.Second); err == nil {
		t.Errorf("an event that is not there: %q", note)
	}
}

func TestTableCountsAndShowsFailures(t *testing.T) {
	k, l := serverKind{name: "prosody"}, serverKind{name: "ejabberd"}
	var out strings.Builder
	failed := printTable(&out, []outcome{
		{cell: cell{kind: k, name: "rig-a"}, note: "0.3 s"},
		{cell: cell{kind: k, name: "send-a"}, err: errors.New("no luck")},
		{cell: cell{kind: l, name: "send-a"}, note: "0.4 s"},
	})
	want := `
cell     prosody     ejabberd
rig-a    ok, 0.3 s   -
send-a   FAIL        ok, 0.4 s

FAIL prosody/send-a: no luck

2 of 3 passed
`
	if diff := cmp.Diff(want, out.String()); failed != 1 || diff != "" {
		t.Errorf("%d failed (-want +got):\n%s", failed, diff)
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	for _, args := range [][]string{{"-cells", "nobody"}, {"-nonsense"}, {"word"}, {"-cells", "send-*", "-jetsend", "/nonexistent/jetsend"}} {
		var stderr strings.Builder
		if code := run(t.Context(), args, io.Discard, &stderr); code != exitUsage || stderr.Len() == 0 {
			t.Errorf("%v: exit status %d, %q", args, code, stderr.String())
		}
	}
}

func TestFingerprintOf(t *testing.T) {
	key := append([]byte{5}, make([]byte, 32)...)
	got, err := fingerprintOf(base64.StdEncoding.EncodeToString(key))
	if want := strings.Repeat("0", 64); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"", "!", base64.StdEncoding.EncodeToString(key[1:])} {
		if got, err := fingerprintOf(bad); err == nil {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}

func TestPollTellsTheLastReason(t *testing.T) {
	calls := 0
	err := poll(t.Context(), time.Minute, "wait", func(context.Context) (bool, error) {
		calls++
		return calls == 2, errors.New("not yet")
	})
	if err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	err = poll(t.Context(), time.Millisecond, "wait", func(ctx context.Context) (bool, error) {
		if calls++; calls == 3 {
			return false, errNoWindow
		}
		return false, ctx.Err()
	})
	if !errors.Is(err, errNoWindow) {
		t.Errorf("got %v", err)
	}
}

func TestForwardCopiesBothWaysAndCloses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() { // an echo for one connection
		if c, err := ln.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	f, err := newForward("127.0.0.1:0", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", f.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write([]byte("hail")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hail" {
		t.Fatalf("got %q, %v", got, err)
	}
	f.close()
	if n, err := c.Read(got); err == nil {
		t.Errorf("read %d bytes after the end", n)
	}
}
