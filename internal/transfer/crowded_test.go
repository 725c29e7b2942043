package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/sink"
)

// TestNoNameLeft: a file that could get no name is declined before a byte of it comes,
// and told with hints that help: not to resume it.
func TestNoNameLeft(t *testing.T) {
	path := t.TempDir()
	dir, err := inbox.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	first := filepath.Join(path, "f.txt")
	if err := os.WriteFile(first, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 9999 {
		if err := os.Link(first, filepath.Join(path, filename.Numbered("f.txt", n+1))); err != nil {
			t.Fatal(err)
		}
	}
	err = sink.Options{}.Taken(dir, jid.MustParse("romeo@jet.test"), "f.txt", false)
	f := fault.New(err, false)
	if !errors.Is(err, inbox.ErrCrowded) || f.Code != exitcode.LocalFile || len(f.Hints) != 1 {
		t.Errorf("%v: %+v", err, f)
	}
	heard := fault.New(&fault.Ended{Reason: fault.Reason(jingle.Decline, fault.DetailExists)}, false)
	if heard.Code != exitcode.LocalFile || !slices.Equal(heard.Hints, []string{"send it under another name, with --name"}) {
		t.Errorf("%+v", heard)
	}
}
