package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// all is enough for every archive of these tests.
var all = Limits{Bytes: 1 << 20}

func refusals(tb testing.TB) map[string][]byte {
	long := strings.Repeat("n", 300)
	deep := []item{dir("t/")}
	for i := range MaxDepth + 1 {
		deep = append(deep, dir("t/"+strings.Repeat("d/", i+1)))
	}
	sparse := item{Header: tar.Header{Typeflag: tar.TypeReg, Name: "t/s", Format: tar.FormatPAX,
		PAXRecords: map[string]string{"JETSEND.dummy": "x"}}}
	items := map[string][]item{
		"nothing":                         {},
		"traversal":                       {dir("t/"), reg("../evil", "x")},
		"traversal below the top":         {dir("t/"), reg("t/../../evil", "x")},
		"traversal that stays":            {dir("t/"), dir("t/a/"), reg("t/a/../b", "x")},
		"the parent as top":               {dir("../")},
		"the parent of the parent as top": {dir("../../x/")},
		"dot as top":                      {dir("./"), reg("./a", "x")},
		"no name":                         {dir("t/"), reg("", "x")},
		"only a slash":                    {dir("/"), reg("/a", "x")},
		"absolute":                        {dir("t/"), reg("/etc/passwd", "x")},
		"absolute top":                    {dir("/t/"), reg("/t/a", "x")},
		"two slashes":                     {dir("t/"), reg("t//a", "x")},
		"dot inside":                      {dir("t/"), reg("t/./a", "x")},
		"a second top":                    {dir("t/"), dir("u/"), reg("u/a", "x")},
		"the top again":                   {dir("t/"), dir("t/")},
		"no top":                          {reg("t/a", "x")},
		"a file as top":                   {reg("t", "x")},
		"a link as top":                   {sym("t", "etc"), reg("t/passwd", "x")},
		"no directory above":              {dir("t/"), reg("t/a/b", "x")},
		"a file above":                    {dir("t/"), reg("t/a", "x"), reg("t/a/b", "x")},
		"file twice":                      {dir("t/"), reg("t/a", "x"), reg("t/a", "y")},
		"file over a directory":           {dir("t/"), dir("t/a/"), reg("t/a", "y")},
		"directory over a file":           {dir("t/"), reg("t/a", "y"), dir("t/a/")},
		"through a link":                  {dir("t/"), sym("t/l", "."), reg("t/l/a", "x")},
		"through a link to a directory":   {dir("t/"), dir("t/d/"), sym("t/l", "d"), reg("t/l/a", "x")},
		"over a link":                     {dir("t/"), sym("t/l", "d"), reg("t/l", "x")},
		"directory over a link":           {dir("t/"), sym("t/l", "."), dir("t/l/"), reg("t/l/a", "x")},
		"link to an absolute path":        {dir("t/"), sym("t/l", "/etc/passwd")},
		"link to the parent":              {dir("t/"), sym("t/l", "..")},
		"link to a neighbour":             {dir("t/"), sym("t/l", "../mine")},
		"link out from below":             {dir("t/"), dir("t/a/"), sym("t/a/l", "../../../secret")},
		"link out by a link":              {dir("t/"), sym("t/x", "."), sym("t/y", "x/../mine")},
		"link out by a deep link":         {dir("t/"), dir("t/a/"), dir("t/a/b/"), sym("t/x", "a/b"), sym("t/a/b/y", "../../x/../../../../secret")},
		"link to nothing":                 {dir("t/"), sym("t/l", "")},
		"link of 5000 bytes":              {dir("t/"), sym("t/l", strings.Repeat("a/", 2500))},
		"hard link inside":                {dir("t/"), reg("t/a", "x"), typed("t/h", tar.TypeLink, "t/a")},
		"hard link out":                   {dir("t/"), typed("t/h", tar.TypeLink, "../secret")},
		"character device":                {dir("t/"), typed("t/null", tar.TypeChar, "")},
		"block device":                    {dir("t/"), typed("t/sda", tar.TypeBlock, "")},
		"FIFO":                            {dir("t/"), typed("t/p", tar.TypeFifo, "")},
		"unknown type":                    {dir("t/"), typed("t/p", 'Z', "")},
		"too deep":                        deep,
		"path too long":                   {dir("t/"), reg("t/"+strings.Repeat(long+"/", 20)+"a", "x")},
		"sparse":                          {dir("t/"), sparse},
	}
	out := map[string][]byte{}
	for name, its := range items {
		out[name] = pack(tb, its...)
	}
	// The writer refuses to make these.
	record := "21 JETSEND.dummy=x\n"
	forged := strings.Replace(string(out["sparse"]), record[3:], "GNU.sparse.x=xx\n", 1)
	if forged == string(out["sparse"]) {
		tb.Fatal("no record to forge")
	}
	out["sparse"] = []byte(forged)
	whole := pack(tb, dir("t/"), reg("t/a", strings.Repeat("x", 3000)))
	out["cut in a header"] = whole[:512+100]
	out["cut in a file"] = whole[:512+512+1000]
	out["header damaged"] = append(append([]byte{}, whole[:512]...), append([]byte("X"), whole[513:]...)...)
	out["no archive"] = bytes.Repeat([]byte("no archive "), 100)
	global := item{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"path": "../evil"}}}
	out["global header"] = pack(tb, global, dir("t/"), reg("t/a", "x"))
	return out
}

func TestRefused(t *testing.T) {
	for name, b := range refusals(t) {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			tree, err := y.extract(t, b, all)
			var refused *RefusedError
			if !errors.As(err, &refused) {
				t.Errorf("%+v, %v", tree, err)
			}
		})
	}
}

// Entries that are odd but harmless are unpacked as they were sent, and nowhere else.
func TestNamesStay(t *testing.T) {
	n255 := strings.Repeat("é", 127) + "x"
	for name, tt := range map[string]struct {
		items []item
		want  []string // below the tree, without the top
	}{
		"dot files":        {[]item{dir("t/"), reg("t/.bashrc", "x"), dir("t/.ssh/"), reg("t/.ssh/id", "x")}, []string{".bashrc", ".ssh", ".ssh/id"}},
		"devices":          {[]item{dir("t/"), reg("t/NUL", "x"), reg("t/aux.c", "x"), dir("t/com1/"), reg("t/com1/a", "x")}, []string{"NUL", "aux.c", "com1", "com1/a"}},
		"backslashes":      {[]item{dir("t/"), reg(`t/..\..\evil`, "x"), reg(`t/C:\a`, "x")}, []string{`..\..\evil`, `C:\a`}},
		"control, bidi":    {[]item{dir("t/"), reg("t/a\x1b[2J\n", "x"), reg("t/exe.\u202etxt", "x")}, []string{"a\x1b[2J\n", "exe.\u202etxt"}},
		"not UTF-8":        {[]item{dir("t/"), reg("t/a\xff", "1"), reg("t/a\xfe", "2")}, []string{"a\xff", "a\xfe"}},
		"normal forms":     {[]item{dir("t/"), reg("t/e\u0301", "1"), reg("t/é", "2")}, []string{"e\u0301", "é"}},
		"both directories": {[]item{dir("t/"), dir("t/e\u0301/"), dir("t/é/"), reg("t/e\u0301/a", "1"), reg("t/é/a", "2")}, []string{"e\u0301", "e\u0301/a", "é", "é/a"}},
		"255 bytes":        {[]item{dir("t/"), reg("t/"+n255, "1"), reg("t/"+n255+"y", "2"), reg("t/"+n255+"z", "3")}, []string{n255[:250] + " (1)", n255[:250] + " (2)", n255}},
		"file, directory":  {[]item{dir("t/"), reg("t/"+n255+"y", "1"), dir("t/" + n255 + "z/"), reg("t/"+n255+"z/b", "2")}, []string{n255, n255[:250] + " (1)", n255[:250] + " (1)/b"}},
		"file, link":       {[]item{dir("t/"), sym("t/l", "./"+n255+"y"), reg("t/"+n255+"y", "2")}, []string{"l -> " + n255, n255}},
		"spaces, dots":     {[]item{dir("t/"), reg("t/a. .", "x"), dir("t/ /"), reg("t/...", "x")}, []string{"a. .", " ", "..."}},
		"shell":            {[]item{dir("t/"), reg("t/$(reboot);`x`&", "x"), reg("t/-rf", "x")}, []string{"$(reboot);`x`&", "-rf"}},
		"top of any name":  {[]item{dir("\x1b\u202e.evil/"), reg("\x1b\u202e.evil/a", "x")}, []string{"a"}},
		"links":            {[]item{dir("t/"), dir("t/.d/"), reg("t/.d/f", "x"), sym("t/.d/up", "../.l"), sym("t/.l", ".d/f"), sym("t/none", "x\x1b/.y"), sym("t/dot", ".")}, []string{".d", ".d/f", ".d/up -> ../.l", ".l -> .d/f", "dot -> .", "none -> x\x1b/.y"}},
		"link and case":    {[]item{dir("t/"), sym("t/L", "."), dir("t/l/"), reg("t/l/a", "x")}, []string{"L -> .", "l", "l/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			if _, err := y.extract(t, pack(t, tt.items...), all); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{".": ""}
			for _, w := range tt.want {
				p, target, link := strings.Cut(w, " -> ")
				want[p] = ""
				if link {
					want[p] = "-> " + target
				}
			}
			got := listing(t, filepath.Join(y.inbox, "in"))
			for p, said := range got {
				if !strings.HasPrefix(said, "-> ") {
					got[p] = ""
				}
			}
			equal(t, "tree", got, want)
		})
	}
}

// Two names that fall together keep both contents.
func TestNothingOverwritten(t *testing.T) {
	y := newYard(t)
	n255 := strings.Repeat("n", 255)
	b := pack(t, dir("t/"), reg("t/A", "1"), reg("t/a", "2"), reg("t/"+n255+"1", "3"), reg("t/"+n255, "4"))
	if _, err := y.extract(t, b, all); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "1", "a": "2", n255: "3", n255[:251] + " (1)": "4"} {
		if got, err := os.ReadFile(filepath.Join(y.inbox, "in", name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	many := []item{dir("t/")}
	for i := range maxAlike + 1 { // all of them are cut
		many = append(many, reg("t/"+n255+strconv.Itoa(i), "x"))
	}
	var refused *RefusedError
	if _, err := newYard(t).extract(t, pack(t, many...), all); !errors.As(err, &refused) {
		t.Errorf("%d names alike: %v", maxAlike+1, err)
	}
	if tree, err := newYard(t).extract(t, pack(t, many[:maxAlike+1]...), all); err != nil || tree.Renamed != maxAlike {
		t.Errorf("%d names alike: %+v %v", maxAlike, tree, err)
	}
}

func TestModesDropped(t *testing.T) {
	y := newYard(t)
	suid, sticky := reg("t/su", "x"), dir("t/d/")
	suid.Mode, sticky.Mode = 0o6755, 0o7777
	if _, err := y.extract(t, pack(t, dir("t/"), suid, sticky), all); err != nil { // sane looks at the bits
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(y.inbox, "in", "su"))
	if err != nil || info.Mode() != 0o755 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestLimits(t *testing.T) {
	b := pack(t, dir("t/"), dir("t/a/"), reg("t/a/b", "12345"), reg("t/c", "67890"))
	for _, tt := range []struct {
		limits Limits
		ok     bool
	}{
		{Limits{Bytes: 10}, true},
		{Limits{Bytes: 9}, false},
		{Limits{}, false},
		{Limits{Bytes: 10, Entries: 4}, true},
		{Limits{Bytes: 10, Entries: 3}, false},
		{Limits{Bytes: 10, Depth: 2}, true},
		{Limits{Bytes: 10, Depth: 1}, false},
	} {
		var refused *RefusedError
		_, err := newYard(t).extract(t, b, tt.limits)
		if err == nil != tt.ok || err != nil && !errors.As(err, &refused) {
			t.Errorf("%+v: %v", tt.limits, err)
		}
	}
}

// An archive cannot choose the names outside of it.
func TestTargetNames(t *testing.T) {
	b := pack(t, dir("t/"), reg("t/a", "x"))
	for _, to := range []Target{{ID: "1", Name: "../out"}, {ID: "1", Name: "/tmp/out"}, {ID: "1", Name: ".hidden"}, {ID: "1"}, {ID: "../1", Name: "in"}, {Name: "in"}} {
		y := newYard(t)
		before := listing(t, y.base)
		if _, err := Extract(t.Context(), bytes.NewReader(b), y.root, to, all); err == nil {
			t.Errorf("%+v", to)
		}
		equal(t, fmt.Sprintf("%+v", to), listing(t, y.base), before)
	}
}

// Errors of the machine are not the archive's, and leave nothing either.
func TestInterrupted(t *testing.T) {
	items := []item{dir("t/")}
	for i := range 50 {
		items = append(items, dir(fmt.Sprintf("t/%d/", i)), reg(fmt.Sprintf("t/%d/a", i), strings.Repeat("x", 5000)))
	}
	b := pack(t, items...)
	broken := errors.New("disk is broken")
	for name, read := range map[string]func(context.CancelFunc) io.Reader{
		"read error": func(context.CancelFunc) io.Reader {
			return io.MultiReader(bytes.NewReader(b[:len(b)/2]), errReader{broken})
		},
		"cancelled": func(cancel context.CancelFunc) io.Reader {
			return io.MultiReader(bytes.NewReader(b[:len(b)/2]), cancelReader{cancel}, bytes.NewReader(b[len(b)/2:]))
		},
	} {
		y := newYard(t)
		before := listing(t, y.base)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Extract(ctx, read(cancel), y.root, Target{ID: "1", Name: "in"}, all)
		cancel()
		if !errors.Is(err, broken) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		var refused *RefusedError
		if errors.As(err, &refused) {
			t.Errorf("%s: taken for the archive's fault: %v", name, err)
		}
		after := listing(t, y.base)
		after["inbox"] = before["inbox"]
		equal(t, name, after, before)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type cancelReader struct{ cancel context.CancelFunc }

func (r cancelReader) Read([]byte) (int, error) { r.cancel(); return 0, io.EOF }

func TestInside(t *testing.T) {
	for _, tt := range []struct {
		depth  int
		target string
		want   string
	}{
		{0, "a", "a"},
		{0, "./a//b/", "a/b"},
		{0, ".", "."},
		{0, "..", ""},
		{1, "..", ".."},
		{1, "../a", "../a"},
		{1, "../../a", ""},
		{2, "./.././../a", "../../a"},
		{2, "a/../b", ""},
		{2, "../a/..", ""},
		{0, "/a", ""},
		{0, "", ""},
		{0, "...", "..."},
		{0, "..a/b..", "..a/b.."},
	} {
		got, ok := Inside(tt.depth, tt.target)
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%d %q: %q %t, want %q", tt.depth, tt.target, got, ok, tt.want)
		}
	}
}

// No error text lets a peer's name drive the terminal.
func TestErrorText(t *testing.T) {
	_, err := newYard(t).extract(t, pack(t, dir("t/"), reg("t/\x1b[2J\u202e/"+strings.Repeat("x", 2000), "x")), all)
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\u202e") || len(err.Error()) > 1000 {
		t.Errorf("%q", err)
	}
}
