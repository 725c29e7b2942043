package simulate

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seed     = flag.Uint64("seed", 0, "the seed of TestSeed")
	seeds    = flag.Int("seeds", 0, "how many seeds TestSeeds runs; 0: some, and fewer with -short")
	first    = flag.Uint64("first", 1, "the first of them")
	step     = flag.Uint64("step", 1, "from one of them to the next")
	onlySets = flag.Bool("sets", false, "leave out the seeds without sets")
	until    = flag.Bool("until-broken", false, "stop at the first that breaks a rule")
)

// slow is what makes a run worth a line.
const slow = 5 * time.Second

// scratch is a directory for what a run writes, in memory where there is such a thing.
func scratch(t *testing.T) string {
	t.Helper()
	base := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "jetsend-simulate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newTemplate(t *testing.T) (tpl *Template) {
	t.Helper()
	dir := scratch(t)
	synctest.Test(t, func(t *testing.T) {
		var err error
		if tpl, err = NewTemplate(dir); err != nil {
			t.Fatalf("seed 0: %v", err)
		}
	})
	return tpl
}

func runSeed(t *testing.T, seed uint64, tpl *Template) (res Result) {
	t.Helper()
	dir, err := os.MkdirTemp(scratch(t), "run-")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(*testing.T) {
		time.Sleep(time.Until(tpl.at))
		res = Run(seed, dir, tpl)
	})
	_ = os.RemoveAll(dir)
	return res
}

// TestSeed runs one seed and says what happened, with -v.
func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("no -seed")
	}
	began := time.Now()
	res := runSeed(t, *seed, newTemplate(t))
	for _, l := range res.Trace {
		t.Log(l)
	}
	t.Log(time.Since(began), res.Counts)
	for _, f := range res.Faults {
		t.Error(f)
	}
}

// TestSeeds runs many; `make simulate` more of them, on all processors.
func TestSeeds(t *testing.T) {
	tpl := newTemplate(t)
	began, counts, bad := time.Now(), map[string]int{}, 0
	n := *seeds
	switch {
	case n == 0 && testing.Short():
		n = 20
	case n == 0:
		n = 200
	}
	for i := range n {
		s, at := *first+uint64(i)**step, time.Now()
		if *onlySets && !draw(dice(s)).sets.on {
			continue
		}
		res := runSeed(t, s, tpl)
		for what, n := range res.Counts {
			counts[what] += n
		}
		if d := time.Since(at); d > slow {
			t.Logf("seed %d took %v", s, d)
		}
		for _, f := range res.Faults {
			t.Errorf("seed %d: %s (again by: go test ./internal/simulate -run TestSeed$ -v -seed=%d)", s, f, s)
		}
		if len(res.Faults) > 0 {
			for _, l := range res.Trace { // with several processors it may go another way the next time
				t.Log(l)
			}
			if bad++; *until {
				break
			}
		}
	}
	if *seeds == 0 && testing.Short() {
		t.Run("the others", func(t *testing.T) { t.Skip("not with -short") })
	}
	counts["runs"], counts["runs that broke a rule"] = n, bad
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%8d %s", counts[what], what)
	}
	t.Log(time.Since(began).Round(time.Millisecond))
}

// TestFaultsApply: a planted fault that no longer fits the tree is found by nobody.
func TestFaultsApply(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("needs patch")
	}
	faults, err := filepath.Glob("testdata/faults/*.patch")
	if err != nil || len(faults) < 10 {
		t.Fatalf("%d planted faults: %v", len(faults), err)
	}
	for _, f := range faults {
		abs, err := filepath.Abs(f)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("patch", "--dry-run", "-f", "-p1", "-d", "../..", "-i", abs).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(f), err, out)
		}
	}
}
