package machine

import (
	"errors"
	"testing"
)

func TestWatch(t *testing.T) {
	if err := Before(Write, "/a", "b", 1); err != nil {
		t.Error(err)
	}
	failed := errors.New("failed")
	var seen []Step
	Watch(func(s Step) error {
		seen = append(seen, s)
		return failed
	})
	defer Watch(nil)
	if err := Before(Write, "/a", "b", 1); !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := BeforeNaming(Link, "/a", "b", "c"); !errors.Is(err, failed) {
		t.Error(err)
	}
	if len(seen) != 2 || seen[0] != (Step{Op: Write, Path: "/a/b", Size: 1}) || seen[1] != (Step{Op: Link, Path: "/a/b", To: "/a/c"}) {
		t.Errorf("%+v", seen)
	}
}

// Nobody pays for what nobody watches.
func BenchmarkUnwatched(b *testing.B) {
	for b.Loop() {
		_ = Before(Write, "/a", "b", 1)
	}
}
