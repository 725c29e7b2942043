package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// many sends a folder of so many files, with no more of them unsettled than may be, and
// returns how much the heap has grown meanwhile.
func (k *kit) many(files int, data string) (grown int64, s *session) {
	k.Helper()
	var settled chan struct{}
	k.change = func(c *Config) {
		settled = make(chan struct{}, 2*set.Window)
		c.Settled = func(o set.Outcome) {
			if o.How == 0 {
				k.Errorf("entry %d: %s", o.Number, o.Reason)
			}
			settled <- struct{}{}
		}
	}
	s = k.open(inbox.Update)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s.begin("f", folderID, files+1)
	open := 0
	for i := range files + 1 {
		th := thing{path: fmt.Sprintf("file-%09d", i), data: data}
		if i == 0 {
			th = thing{dir: true}
		}
		for open++; open >= set.Window-1; open-- {
			<-settled
		}
		n := s.next
		s.next++
		w, err := s.Entry(n, th.entry(), nil)
		if err == nil && !w.Nothing {
			if data != "" {
				err = s.Write(n, 0, []byte(data))
			}
			err = errors.Join(err, s.End(n, nil))
		}
		if err != nil {
			k.Fatal(err)
		}
		if i%5000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			grown = max(grown, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		}
	}
	if err := errors.Join(s.Indexed(), s.Close(nil)); err != nil {
		k.Fatal(err)
	}
	return grown, s
}

// TestMany: the memory does not grow with the folder, neither when it is new nor later.
func TestMany(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	const files = 12_000
	k := newKit(t)
	for _, what := range []string{"new", "updated"} {
		grown, s := k.many(files, "")
		if a := s.arrivals[0]; grown > 16<<20 || a.New+a.Equal != files+1 {
			t.Errorf("%s: the heap grew by %d KiB: %+v", what, grown>>10, a)
		}
		k.again()
	}
	n := 0
	err := filepath.WalkDir(filepath.Join(k.dir, "f"), func(string, fs.DirEntry, error) error { n++; return nil })
	if err != nil || n != files+1 {
		t.Errorf("%d entries, %v", n, err)
	}
}
