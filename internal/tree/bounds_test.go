package tree

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/filename"
	"jetsend/internal/inbox"
)

// TestNumbersEnd: the search for a name that is free has an end: in the download directory,
// for what a file system takes for the same, and for what is kept beside the new.
func TestNumbersEnd(t *testing.T) {
	k := newKit(t)
	s := k.open(inbox.Rename)
	s.numbers["a"] = maxNumbered
	s.file("a", thing{data: "A"})
	s.done().want("failed  reason " + inbox.ErrExists.Error())

	n := namesFor("a")
	tried := 0
	for name, more := n.next(); more; name, more = n.next() {
		if tried++; tried > maxAlike {
			t.Fatalf("%q is tried", name)
		}
	}

	k = sentOnce(t)
	f := filepath.Join(k.dir, "f")
	for i := 1; i < maxAside; i++ {
		if err := os.WriteFile(filepath.Join(f, filename.Numbered("a", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(f, "a"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = k.open(inbox.Update)
	s.folder("f", with(base(), thing{path: "a", data: "theirs"})...)
	s.done()
	failed := slices.IndexFunc(s.outcomes(), func(o string) bool { return strings.HasPrefix(o, "failed a reason") })
	if b, err := os.ReadFile(filepath.Join(f, "a")); err != nil || string(b) != "mine" || failed < 0 {
		t.Errorf("%q, %v, %q", b, err, s.outcomes()[:3])
	}
}

// TestStaleIsBounded: one sweep finds so many hidden directories, the next one the rest.
func TestStaleIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range maxStale + 10 {
		id := setID[:len(setID)-4] + string(rune('a'+i/1000%6)) + string(rune('0'+i/100%10)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
		if err := os.Mkdir(filepath.Join(dir, hiddenName(id)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ids, err := Stale(dir, -1, epoch.AddDate(100, 0, 0))
	if err != nil || len(ids) != maxStale {
		t.Errorf("%d, %v", len(ids), err)
	}
	if err := Discard(dir, ids[0], t.TempDir()); err != nil || Remains(dir, ids[0]) {
		t.Error(err)
	}
}
