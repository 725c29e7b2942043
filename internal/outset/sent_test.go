package outset

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/index"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/source"
	"jetsend/internal/state"
)

// TestSent: what was sent whole is remembered for its contact, and for as long as the folder is
// known; one that has not arrived whole is not known any more.
func TestSent(t *testing.T) {
	ctx, home, to := t.Context(), t.TempDir(), jid.MustParse("juliet@capulet.example")
	folder := filepath.Join(home, "docs")
	if err := os.MkdirAll(filepath.Join(folder, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(ctx, filepath.Join(home, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	j, err := journal.Open(ctx, db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	dir, l := Sent(home, to), Lister{Dir: home, Journal: j}
	list := func(l Lister, to jid.JID) *Set {
		s, err := l.List(ctx, to, []source.Named{{Path: folder}}, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	since := func(to jid.JID) *Since {
		got, err := list(Lister{Dir: home, Journal: j, Look: true}, to).Since(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := since(to); got != nil {
		t.Errorf("before anything was sent: %+v", got)
	}
	before := time.Now()
	s := list(l, to)
	if err := s.Remember(dir, 0, true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "new"), []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := since(to)
	if got == nil || got.Changes != (index.Changes{New: 1, Equal: 2, Bytes: 4}) || got.Sent.Before(before.Add(-time.Second)) || got.Sent.After(time.Now()) {
		t.Errorf("%+v, sent after %v", got, before)
	}
	if got := since(jid.MustParse("nurse@capulet.example")); got != nil {
		t.Errorf("to another contact: %+v", got)
	}
	path := filepath.Join(dir, hex.EncodeToString(s.Arguments()[0].Folder))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := SweepSent(ctx, dir, j); err != nil || since(to) == nil {
		t.Errorf("swept although it is known: %v", err)
	}
	if err := s.Remember(dir, 0, false); err != nil || since(to) != nil {
		t.Errorf("not whole: %v", err)
	}
	if err := s.Remember(dir, 0, false); err != nil {
		t.Errorf("twice: %v", err)
	}
	sweeps(t, j, s, dir, folder)
}

// sweeps removes a folder, and what crashes left, and sees that both are swept.
func sweeps(t *testing.T, j *journal.Journal, s *Set, dir, folder string) {
	t.Helper()
	old, fresh, day := filepath.Join(dir, ".new-1"), filepath.Join(dir, ".new-2"), time.Now().Add(-2*staleNew)
	for _, err := range []error{
		s.Remember(dir, 0, true), os.WriteFile(old, nil, 0o600), os.Chtimes(old, day, day), os.WriteFile(fresh, nil, 0o600),
		os.RemoveAll(folder), j.ForgetFolders(t.Context()), SweepSent(t.Context(), dir, j),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != ".new-2" {
		t.Errorf("%v is left, %v", left, err)
	}
}
