package tree

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// TestLies: what no honest sender says ends the session, and nothing of it is anywhere.
func TestLies(t *testing.T) {
	dir, file := set.Entry{Kind: set.Directory, Mode: 0o755}, set.Entry{Kind: set.File, Mode: 0o644, Extents: -1}
	at := func(e set.Entry, path string) set.Entry { e.Path = strings.Split(path, "/"); return e }
	sized := func(e set.Entry, size int64, extents int) set.Entry { e.Size, e.Extents = size, extents; return e }
	type entries []set.Entry
	for name, all := range map[string]entries{
		"no root":                {at(file, "a")},
		"two roots":              {dir, dir},
		"a link as a root":       {{Kind: set.Link, Target: "a"}},
		"under a file":           {dir, at(file, "a"), at(file, "a/b")},
		"under a link":           {dir, at(set.Entry{Kind: set.Link, Target: "b"}, "a"), at(file, "a/b")},
		"under the root, a file": {file, at(file, "a")},
		"in no directory":        {dir, at(file, "a/b")},
		"in one that is over":    {dir, at(dir, "a"), at(dir, "b"), at(file, "a/c")},
		"twice":                  {dir, at(file, "a"), at(file, "a")},
		"twice, and a directory": {dir, at(dir, "a"), at(dir, "a")},
		"back":                   {dir, at(file, "b"), at(file, "a")},
		"back below":             {dir, at(dir, "a"), at(file, "a/b"), at(file, "a/a")},
		"skipping":               {dir, at(dir, "a"), at(file, "a/b/c")},
		"up":                     {dir, at(dir, "a"), at(file, "..")},
		"here":                   {dir, at(file, ".")},
		"no name":                {dir, at(file, "")},
		"NUL":                    {dir, at(file, "a\x00b")},
		"two names in one":       {dir, {Kind: set.File, Path: []string{"a/b"}, Extents: -1}},
		"too deep":               deep(dir, 101),
		"a long path":            {dir, at(file, strings.Repeat("n", 5000))},
		"no target":              {dir, at(set.Entry{Kind: set.Link}, "a")},
		"a target with NUL":      {dir, at(set.Entry{Kind: set.Link, Target: "a\x00"}, "a")},
		"a mode":                 {dir, {Kind: set.File, Path: []string{"a"}, Mode: 0o4755, Extents: -1}},
		"a negative size":        {dir, at(sized(file, -1, -1), "a")},
		"more than the offer":    {dir, at(sized(file, 900, -1), "a"), at(sized(file, 101, -1), "b")},
		"far more":               {dir, at(sized(file, 900, -1), "a"), at(sized(file, math.MaxInt64, -1), "b")},
		"missing extents":        {dir, at(sized(file, 10, 1), "a")},
		"more entries":           {dir, at(file, "a"), at(file, "b"), at(file, "c"), at(file, "d"), at(file, "e")},
	} {
		k := newKit(t)
		k.change = func(c *Config) { c.Bytes = 1000 }
		s := k.open(inbox.Rename)
		most := uint64(5)
		if name == "too deep" {
			most = 1000
		}
		if err := s.Argument(0, set.Argument{Name: "f", Entries: most, Bytes: 1000}); err != nil {
			t.Fatal(err)
		}
		var err error
		for i := 0; err == nil && i < len(all); i++ {
			if all[i].Extents == 0 && all[i].Kind == set.File {
				all[i].Extents = -1
			}
			_, err = s.Entry(uint64(i), all[i], nil)
			if err != nil && i < len(all)-1 {
				t.Errorf("%s: at %d: %v", name, i, err)
			}
		}
		if !errors.Is(err, set.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close(err)
		if err := Discard(k.dir, k.id, k.state); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := k.show(""); len(got) != 1 || Remains(k.dir, k.id) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func deep(dir set.Entry, n int) (all []set.Entry) {
	for i := range n + 1 {
		e := dir
		for range i {
			e.Path = append(e.Path, "d")
		}
		all = append(all, e)
	}
	return all
}

// TestLyingExtents: extents ascend, within the size.
func TestLyingExtents(t *testing.T) {
	for name, x := range map[string][]set.Extent{
		"beyond the size": {{Offset: 90, Length: 11}},
		"behind it":       {{Offset: 101, Length: 1}},
		"endless":         {{Offset: 1, Length: math.MaxInt64}},
		"empty":           {{Offset: 1, Length: 0}},
		"before":          {{Offset: -1, Length: 2}},
		"touching":        {{Offset: 0, Length: 5}, {Offset: 5, Length: 5}},
		"back":            {{Offset: 50, Length: 5}, {Offset: 5, Length: 5}},
	} {
		s := newKit(t).open(inbox.Rename)
		s.begin("f", nil, 5)
		e := set.Entry{Kind: set.File, Size: 100, Extents: len(x)}
		if _, err := s.Entry(0, e, x); !errors.Is(err, set.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close(errCut)
	}
}

// TestLyingData: data comes in its order, and all of it.
func TestLyingData(t *testing.T) {
	for name, say := range map[string]func(s *session) error{
		"of another file":  func(s *session) error { return s.Write(2, 0, []byte("abc")) },
		"of none":          func(s *session) error { return s.Write(99, 0, []byte("abc")) },
		"of a directory":   func(s *session) error { return s.Write(0, 0, []byte("abc")) },
		"not at the start": func(s *session) error { return s.Write(1, 1, []byte("ab")) },
		"negative":         func(s *session) error { return s.Write(1, -1, []byte("ab")) },
		"too much":         func(s *session) error { return s.Write(1, 0, []byte("abcd")) },
		"nothing":          func(s *session) error { return s.Write(1, 0, nil) },
		"twice":            func(s *session) error { return errors.Join(s.Write(1, 0, []byte("abc")), s.Write(1, 0, []byte("abc"))) },
		"too little":       func(s *session) error { return errors.Join(s.Write(1, 0, []byte("ab")), s.End(1, nil)) },
		"end of another":   func(s *session) error { return s.End(2, nil) },
		"two ends": func(s *session) error {
			return errors.Join(s.Write(1, 0, []byte("abc")), s.End(1, nil), s.End(1, nil))
		},
		"an argument that is not next": func(s *session) error { return s.Argument(2, set.Argument{}) },
		"an argument without entries": func(s *session) error {
			return errors.Join(s.Argument(1, set.Argument{Entries: 1}), s.Argument(2, set.Argument{}))
		},
	} {
		s := newKit(t).open(inbox.Rename)
		s.begin("f", nil, 5)
		s.tell(thing{dir: true})
		s.tell(thing{path: "a", data: "abc"})
		s.tell(thing{path: "b", data: "abc"})
		if err := say(s); !errors.Is(err, set.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close(errCut)
	}
}

// TestWindow: no more entries are held than may be unsettled.
func TestWindow(t *testing.T) {
	s := newKit(t).open(inbox.Rename)
	s.begin("f", nil, 1<<20)
	s.tell(thing{dir: true})
	e := set.Entry{Kind: set.File, Size: 1, Extents: -1}
	var err error
	n := uint64(1)
	for ; err == nil && n < 2*set.Window; n++ {
		e.Path = []string{filepath.Base(large(1)) + string(rune('a'+n/1000)) + string(rune('a'+n/100%10)) + string(rune('a'+n/10%10)) + string(rune('a'+n%10))}
		_, err = s.Entry(n, e, nil)
	}
	if !errors.Is(err, set.ErrMessage) || n != set.Window+1 {
		t.Errorf("after %d: %v", n, err)
	}
	_ = s.Close(errCut)
}

// TestLinks: those that lead out fail, one by one.
func TestLinks(t *testing.T) {
	s := newKit(t).open(inbox.Rename)
	s.folder("f", thing{path: "a", target: "/etc/passwd"}, thing{path: "b", target: "../x"}, thing{path: "d/e", target: "../../x"}, thing{path: "d/f", target: "../b"},
		thing{path: "g", target: "d/../../x"}, thing{path: "h", target: "."})
	const out = " reason a link that leads out of the folder"
	s.done().want("new ", "failed a"+out, "failed b"+out, "new d", "failed d/e"+out, "new d/f", "failed g"+out, "new h")
	s.shows("f", "f/", "f/d/", "f/d/f -> ../b", "f/h -> .")
}
