package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// large is content in which no two parts are alike.
func large(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.String()[:n]
}

// TestCutAnywhere cuts a session behind each of its calls, by a cut and by a crash; the
// next one brings the folder as one that was never cut does, and asks for nothing that has
// been released.
func TestCutAnywhere(t *testing.T) {
	things := ordered([]thing{
		{path: "a", data: "A"}, {path: "b/c", data: large(200_000)}, {path: "b/d/e", data: "E"}, {path: "b/l", target: "d/e"},
		{path: "c", dir: true, mode: 0o500}, {path: strings.Repeat("n", 255) + "/x", data: "x"}, {path: "z", data: ""},
	})
	for crash := range 2 {
		for at := 0; ; at++ {
			k := newKit(t)
			s := k.open(inbox.Rename)
			if !s.part(things, at) {
				_ = s.Close(nil)
				break
			}
			if crash == 1 {
				s.crash()
			} else {
				s.cut()
			}
			released := map[string]bool{}
			for n, o := range s.out {
				released[s.paths[n]] = o.How != 0
			}
			s = k.open(inbox.Rename)
			for _, path := range s.folder("f", things...) {
				if released["0:"+path] {
					t.Errorf("cut at %d: %q is asked for again", at, path)
				}
			}
			s.done()
			got := k.show("")
			if len(got) != 12 || !strings.HasPrefix(got[1], "f/") || slices.ContainsFunc(s.outcomes(), func(o string) bool { return !strings.HasPrefix(o, "new ") }) {
				t.Errorf("crash %d at %d: %q\n%q", crash, at, got, s.outcomes())
			}
		}
	}
}

// part does so many calls of a session, and reports whether there are more.
func (s *session) part(things []thing, calls int) bool {
	s.Helper()
	more := func() bool { calls--; return calls >= 0 }
	if !more() {
		return true
	}
	s.begin("f", folderID, len(things))
	for _, th := range things {
		if !more() {
			return true
		}
		n, w := s.tell(th)
		if w.Nothing || th.dir || th.target != "" {
			continue
		}
		for at := 0; at < len(th.data); {
			if !more() {
				return true
			}
			b := th.data[at:min(at+60000, len(th.data))]
			if err := s.Write(n, int64(at), []byte(b)); err != nil {
				s.Fatal(err)
			}
			at += len(b)
		}
		if !more() {
			return true
		}
		if err := s.End(n, nil); err != nil {
			s.Fatal(err)
		}
	}
	if !more() {
		return true
	}
	if err := s.Indexed(); err != nil {
		s.Fatal(err)
	}
	return false
}

// TestPartial: a file goes on where it was cut.
func TestPartial(t *testing.T) {
	th := thing{path: "big", data: large(300_000)}
	first := func(t *testing.T, th thing) *kit {
		k := newKit(t)
		s := k.open(inbox.Rename)
		s.begin("f", folderID, 2)
		s.tell(thing{dir: true})
		n, _ := s.tell(th)
		e := th.entry()
		x := set.ExtentsOf(&e, th.x)[0]
		for at := x.Offset; at < x.Offset+100_000; at += 50_000 {
			if err := s.Write(n, at, []byte(th.data[at:at+50_000])); err != nil {
				t.Fatal(err)
			}
		}
		s.cut()
		return k
	}
	second := func(k *kit, th thing, have int64) *session {
		s := k.open(inbox.Rename)
		s.begin("f", folderID, 2)
		s.tell(thing{dir: true})
		n, w := s.tell(th)
		if w.Have != have {
			k.Errorf("have %d, want %d", w.Have, have)
		}
		s.give(n, th, w)
		return s
	}
	t.Run("the rest", func(t *testing.T) {
		k := first(t, th)
		second(k, th, 100_000).done().want("new ", "new big")
		k.shows("f/big", "f/big "+th.data[:40])
	})
	t.Run("another file", func(t *testing.T) {
		other := thing{path: "big", data: "x" + th.data[1:]}
		k := first(t, th)
		second(k, other, 100_000).done().want("new ", "new big")
		k.shows("f/big", "f/big "+other.data[:40])
	})
	t.Run("changed", func(t *testing.T) {
		other := thing{path: "big", data: th.data, mtime: epoch.Add(1)}
		second(first(t, th), other, 0).done().want("new ", "new big")
	})
	t.Run("wrong hash", func(t *testing.T) {
		k := first(t, th)
		s := k.open(inbox.Rename)
		s.begin("f", folderID, 2)
		s.tell(thing{dir: true})
		n, _ := s.tell(th)
		for at := 100_000; at < len(th.data); at += 50_000 {
			if err := s.Write(n, int64(at), []byte(th.data[at:at+50_000])); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.End(n, make([]byte, 32)); err != nil {
			t.Fatal(err)
		}
		s.done().want("new ", "failed big reason what was put together is another file")
		k.shows("f", "f/")
	})
	t.Run("sparse", func(t *testing.T) {
		sparse := thing{path: "big", data: strings.Repeat("\x00", 100_000) + large(200_000) + strings.Repeat("\x00", 100_000) + "end", size: 1 << 20,
			x: []set.Extent{{Offset: 100_000, Length: 200_000}, {Offset: 400_000, Length: 3}}}
		k := first(t, sparse)
		second(k, sparse, 200_000).done().want("new ", "new big")
		b, err := os.ReadFile(filepath.Join(k.dir, "f/big"))
		if err != nil || string(b) != sparse.data+strings.Repeat("\x00", 1<<20-len(sparse.data)) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		big := thing{path: "big", data: large(3 << 20)}
		k := newKit(t)
		s := k.open(inbox.Rename)
		s.begin("f", folderID, 2)
		s.tell(thing{dir: true})
		n, _ := s.tell(big)
		for at := 0; at < 2<<20; at += 1 << 15 {
			if err := s.Write(n, int64(at), []byte(big.data[at:at+1<<15])); err != nil {
				t.Fatal(err)
			}
		}
		s.crash()
		second(k, big, 2<<20).done().want("new ", "new big")
	})
}

// TestResumeChanged: what has changed meanwhile replaces what came before.
func TestResumeChanged(t *testing.T) {
	k := newKit(t)
	s := k.open(inbox.Rename)
	s.begin("f", nil, 100)
	for _, th := range ordered(base()) {
		n, w := s.tell(th)
		s.give(n, th, w)
	}
	s.cut()
	s = k.open(inbox.Rename)
	wanted := s.folder("f", with(base(), thing{path: "b", data: "BB", mtime: epoch.Add(time.Hour)}, thing{path: "l", target: "d"})...)
	if !slices.Equal(wanted, []string{"b"}) {
		t.Errorf("wanted %q", wanted)
	}
	s.done().want("new ", "new a", "new b", "new d", "new d/x", "new d/y", "new e", "new l", "new m")
	k.shows("f", "f/", "f/a A", "f/b BB", "f/d/", "f/d/x X", "f/d/y Y", "f/e/", "f/l -> d", "f/m -> b")
}

// TestNotTwice: between two sessions an argument is not put anywhere twice, wherever the
// first one was cut around its name.
func TestNotTwice(t *testing.T) {
	for _, when := range []string{"placing", "placed"} {
		for _, folder := range []bool{false, true} {
			k := newKit(t)
			send := func(s *session) {
				if folder {
					s.folder("f", thing{path: "x", data: "X"})
				} else {
					s.file("f", thing{data: "X"})
				}
			}
			k.book.fail = func(what string) error {
				if what == when {
					return os.ErrDeadlineExceeded
				}
				return nil
			}
			s := k.open(inbox.Rename)
			send(s)
			_ = s.Indexed()
			if err := s.Close(nil); err == nil {
				t.Fatal("no error")
			}
			k.book.fail = func(string) error { return nil }
			s = k.open(inbox.Rename)
			send(s)
			s.done()
			if got := k.show(""); len(got) != 2 && !folder || len(got) != 3 && folder || !strings.HasPrefix(got[1], "f") {
				t.Errorf("%s, %v: %q", when, folder, got)
			}
			if p := k.book.folders[string(folderID)]; folder && (p.Path != filepath.Join(k.dir, "f") || !exists(recordOf(k.state, p.Path)+recordSuffix)) {
				t.Errorf("%s: remembered %+v", when, p)
			}
		}
	}
}
