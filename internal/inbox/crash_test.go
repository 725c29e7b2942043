package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// wayTo is how a file comes to its name, on a disk that may lack abilities.
type wayTo struct {
	noMove, noLink bool
	how            Conflict
}

// ways are those to a name.
var ways = map[string]wayTo{
	"move":      {how: Rename},
	"link":      {how: Rename, noMove: true},
	"hold":      {how: Rename, noMove: true, noLink: true},
	"overwrite": {how: Overwrite},
	"skip":      {how: Skip, noMove: true},
}

const content = "all of the bytes"

// A release that dies after any of its steps, with the power or without, is
// settled and brought to its end: one file, the right one, under the name that
// was recorded.
func TestCutRelease(t *testing.T) {
	for way, w := range ways {
		t.Run(way, func(t *testing.T) {
			done := false
			for cut := 0; !done; cut++ {
				const alive, all = -1, 8 // process killed; any part of three changes lost
				for keep := alive; keep < all; keep++ {
					d, path := open(t)
					k := newDisk(t, d)
					k.left = cut
					placed, err := released(t, d, k, path, w)
					if done = err == nil; !done && !errors.Is(err, errCut) {
						t.Fatal(err)
					}
					if keep != alive {
						k.lose(keep)
					}
					where := fmt.Sprintf("%d steps, %d kept", cut, keep)
					d = reopened(t, path)
					newDisk(t, d).noLink = w.noLink
					recovered(t, d, where, placed, w.how, done)
					only(t, path, "a.txt", content)
				}
			}
		})
	}
}

// released releases a file on the disk k of d in the way w. placed is the name that
// the journal was told, if it came to that.
func released(t *testing.T, d *Dir, k *disk, path string, w wayTo) (placed string, err error) {
	t.Helper()
	if w.how == Overwrite {
		writeFile(t, filepath.Join(path, "a.txt"), "old")
	}
	k.noMove, k.noLink = w.noMove, w.noLink
	_, err = put(t, d, "1", content).Release("a.txt", w.how, time.Unix(1e9, 0), func(p string) error {
		placed = filepath.Base(p)
		return nil
	})
	return placed, err
}

// recovered does what a receiver does that finds the journal's row.
func recovered(t *testing.T, d *Dir, where, placed string, how Conflict, done bool) {
	t.Helper()
	outcome := NotReleased
	var err error
	if placed != "" {
		if outcome, err = d.Settle("1", placed, int64(len(content))); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
	}
	if done && outcome != Released {
		t.Errorf("%s: a finished release is outcome %d", where, outcome)
	}
	switch outcome {
	case Released:
		if _, ok, err := d.Remains("1"); ok || err != nil {
			t.Errorf("%s: partial file: %v, %v", where, ok, err)
		}
	case NotReleased:
		p, err := d.Reopen("1", int64(len(content)), int64(len(content)), 0)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if _, err := p.Release("a.txt", how, time.Time{}, nil); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	default:
		t.Errorf("%s: outcome %d", where, outcome)
	}
}

// A release of which one step fails, while the disk lives on, says so, and comes
// to its end as after a crash. The file does not have its name then, unless another one
// was overwritten. Its time alone is no reason to fail.
func TestFlawedRelease(t *testing.T) {
	for way, w := range ways {
		for flaw, flawed := 1, "some"; flawed != ""; flaw++ {
			d, path := open(t)
			k := newDisk(t, d)
			k.flaw = flaw
			placed, err := released(t, d, k, path, w)
			k.flaw, flawed = 0, k.flawed
			where := fmt.Sprintf("%s, step %d, %s", way, flaw, flawed)
			if err == nil && flawed != "" && flawed != "Date" || err != nil && !errors.Is(err, errCut) {
				t.Errorf("%s: %v", where, err)
			}
			if err == nil && len(k.undo) > 0 {
				t.Errorf("%s: not synced", where)
			}
			if _, lerr := os.Lstat(filepath.Join(path, "a.txt")); err != nil && w.how != Overwrite && !errors.Is(lerr, fs.ErrNotExist) {
				t.Errorf("%s: the file has its name: %v", where, lerr)
			}
			recovered(t, d, where, placed, w.how, err == nil)
			only(t, path, "a.txt", content)
		}
	}
}

// Nor does settling hide one.
func TestFlawedSettle(t *testing.T) {
	for flaw := 1; flaw <= 3; flaw++ {
		d, path := open(t)
		k := newDisk(t, d)
		k.noMove = true
		_, err := put(t, d, "1", content).Release("a.txt", Rename, time.Time{}, func(string) error { k.left = 1; return nil }) // linked
		if !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		k.left, k.flaw = -1, flaw
		if got, err := d.Settle("1", "a.txt", int64(len(content))); !errors.Is(err, errCut) {
			t.Errorf("%s failed: outcome %d, %v", k.flawed, got, err)
		}
		recovered(t, d, k.flawed, "a.txt", Rename, false)
		only(t, path, "a.txt", content)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Settling can be cut as well: by a power loss that takes the names of the
// release before it, too.
func TestCutSettle(t *testing.T) {
	for cut := range 4 {
		for keep := range 8 {
			d, path := open(t)
			k := newDisk(t, d)
			k.noMove = true
			p := put(t, d, "1", content)
			_, err := p.Release("a.txt", Rename, time.Time{}, func(string) error { k.left = 1; return nil }) // linked
			if !errors.Is(err, errCut) || len(k.undo) != 1 {
				t.Fatal(err)
			}
			d = reopened(t, path)
			again := newDisk(t, d)
			again.left, again.undo = cut, k.undo
			if _, err := d.Settle("1", "a.txt", int64(len(content))); (err == nil) != (cut == 3) {
				t.Errorf("%d steps: %v", cut, err)
			}
			again.lose(keep)
			d = reopened(t, path)
			recovered(t, d, fmt.Sprintf("%d steps, %d kept", cut, keep), "a.txt", Rename, false)
			only(t, path, "a.txt", content)
		}
	}
}

// A file that has the name and is not ours stays, be it empty.
func TestSettleLeavesStrangers(t *testing.T) {
	for _, theirs := range []string{"", "text"} {
		for _, wish := range []time.Time{{}, time.Unix(1e9, 0), time.Now().Add(-heldBack - time.Minute)} {
			d, path := open(t)
			k := newDisk(t, d)
			k.noMove, k.noLink = true, true
			p := put(t, d, "1", content)
			_, err := p.Release("a.txt", Rename, wish, func(string) error { k.left = 0; return nil })
			if !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(path, "a.txt"), theirs)
			d = reopened(t, path)
			if got, err := d.Settle("1", "a.txt", int64(len(content))); err != nil || got != NotReleased {
				t.Errorf("outcome %d, %v", got, err)
			}
			if b, err := os.ReadFile(filepath.Join(path, "a.txt")); err != nil || string(b) != theirs {
				t.Errorf("their file: %q, %v", b, err)
			}
		}
	}
}

// An empty file with which a name was held is not removed once somebody uses it.
func TestSettleHeldAndUsed(t *testing.T) {
	d, path := open(t)
	k := newDisk(t, d)
	k.noMove, k.noLink = true, true
	p := put(t, d, "1", content)
	_, err := p.Release("a.txt", Rename, time.Time{}, func(string) error { k.left = 2; return nil }) // marked and held
	if info, serr := os.Stat(filepath.Join(path, "a.txt")); !errors.Is(err, errCut) || serr != nil || info.Size() != 0 {
		t.Fatal(err, serr)
	}
	writeFile(t, filepath.Join(path, "a.txt"), "used")
	d = reopened(t, path)
	if got, err := d.Settle("1", "a.txt", int64(len(content))); err != nil || got != NotReleased {
		t.Errorf("outcome %d, %v", got, err)
	}
	if b, err := os.ReadFile(filepath.Join(path, "a.txt")); err != nil || string(b) != "used" {
		t.Errorf("their file: %q, %v", b, err)
	}
}

func TestSettleLost(t *testing.T) {
	d, path := open(t)
	check := func(what string, want Outcome) {
		t.Helper()
		if got, err := d.Settle("1", "a", 3); err != nil || got != want {
			t.Errorf("%s: outcome %d, %v", what, got, err)
		}
	}
	check("nothing", Lost)
	writeFile(t, filepath.Join(path, "a"), "four")
	check("another size", Lost)
	writeFile(t, filepath.Join(path, "a"), "abc")
	check("the file", Released)
	if err := os.Rename(filepath.Join(path, "a"), filepath.Join(path, "b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b", filepath.Join(path, "a")); err != nil {
		t.Fatal(err)
	}
	check("a link to a file of that size", Lost)
	for _, name := range []string{"../a", "", ".", "x/a"} {
		if got, err := d.Settle("1", name, 3); err == nil {
			t.Errorf("%q: outcome %d", name, got)
		}
	}
}

// An empty file is a file.
func TestCutReleaseOfNothing(t *testing.T) {
	for way, w := range ways {
		for cut := range 7 {
			d, path := open(t)
			k := newDisk(t, d)
			k.noMove, k.noLink = w.noMove, w.noLink
			_, _ = put(t, d, "1", "").Release("a", w.how, time.Time{}, func(string) error { k.left = cut; return nil })
			d = reopened(t, path)
			got, err := d.Settle("1", "a", 0)
			if err == nil && got == NotReleased {
				var p *Partial
				if p, err = d.Reopen("1", 0, 0, 0); err == nil {
					_, err = p.Release("a", w.how, time.Time{}, nil)
				}
			}
			if err != nil || got == Lost {
				t.Errorf("%s, %d steps: outcome %d, %v", way, cut, got, err)
			}
			only(t, path, "a", "")
		}
	}
}
