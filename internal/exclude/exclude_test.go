package exclude

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func mustParse(t *testing.T, lines ...string) *List {
	t.Helper()
	l, err := Parse(lines...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestExcludes: what gitignore(5) says, sentence by sentence.
func TestExcludes(t *testing.T) {
	for _, tt := range []struct {
		lines string
		out   string // left out, a directory with a slash at its end
		in    string
	}{
		{"*.o", "a.o d/a.o .o a.o/", "a.c"},
		{"build/", "build/ d/build/", "build d/build"},
		{"/build", "build build/", "d/build"},
		{"d/build", "d/build", "build e/d/build"},
		{"**/d/build", "d/build e/d/build", "build"},
		{"d/**", "d/a d/e/a", "d/ d"},
		{"d/**/a", "d/a d/e/a d/e/f/a", "a d/b"},
		{"*.o\n!keep.o", "a.o", "keep.o d/keep.o"},
		{"!keep.o\n*.o", "keep.o", ""},
		{"# no\n\n  \n\\#yes", "#yes", "# no"},
		{"\\!yes", "!yes", "yes"},
		{"a\\ \nb  ", "a\\s b", "a"},
		{"{a,b}", "{a,b}", "a b"},
		{"[ab]?", "ax bx", "cx a"},
		{"[!ab]", "c", "a"},
		{"a***b", "ab axb", "a/b"},
		{"a.o\r", "a.o", ""},
		{"!", "", "a !"},
		{"/a[!b]c", "axc", "a/c"},
		{"x/d[+-9]b", "x/d5b", "x/d/b"},
		{"[]a]", "] a", "b"},
		{"[!]a]b", "bb", "]b ab"},
		{"a/***/b", "a/b a/c/b a/c/d/b", "b"},
		{"a/**/b/**/c", "a/b/c a/x/b/y/z/c a/b/b/c", "a/c b/c"},
		{"a\\\\ ", "a\\", "a"},
		{"**", "a a/b", ""},
		{"gr\xfcn", "gr\xfcn", "gr\xf6n"},
		{"gr?n", "gr\xfcn", "grn"},
		{"***", "a a/b", ""},
		{"*\\**", "a*b *", "ab"},
	} {
		l := mustParse(t, tt.lines)
		for want, paths := range map[bool]string{true: tt.out, false: tt.in} {
			for p := range strings.FieldsSeq(paths) {
				p, dir := strings.CutSuffix(strings.ReplaceAll(p, "\\s", " "), "/")
				if l.Excludes(p, dir) != want {
					t.Errorf("%q: %q, directory %t: want %t", tt.lines, p, dir, want)
				}
			}
		}
		if again := mustParse(t, l.String()); again.String() != l.String() {
			t.Errorf("%q became %q", l, again)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]error{
		"[a": errMalformed, "a\\": errMalformed, "[[:alpha:]]": errClass, "a//b": errNoName, "a/**//": errNoName, strings.Repeat("a", MaxBytes+1): ErrTooLong,
	} {
		if l, err := Parse("*.o", line); !errors.Is(err, want) || l != nil {
			t.Errorf("%.20q: %v, %v", line, l, err)
		}
	}
	if l, err := Parse("", "# nothing"); l != nil || err != nil || l.Excludes("a", false) || l.String() != "" {
		t.Errorf("%v, %v", l, err)
	}
}

// TestLikeGit holds random patterns over random trees against git itself.
func TestLikeGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("needs git")
	}
	r := rand.New(rand.NewPCG(77, 5))
	of := func(words ...string) string { return words[r.IntN(len(words))] }
	for range 30 {
		dir := t.TempDir()
		if out, err := exec.Command(git, "init", "-q", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for range 12 {
			p := dir
			for range 1 + r.IntN(3) {
				p = filepath.Join(p, of("a", "b", "ab", "c", "a b", ".a", "*", "aa", "]", "acb"))
			}
			if os.MkdirAll(filepath.Dir(p), 0o700) == nil {
				_ = os.WriteFile(p, nil, 0o600) // where there is no directory
			}
		}
		var lines []string
		for range 1 + r.IntN(3) {
			line := of("", "", "", "!")
			for range 1 + r.IntN(4) {
				line += of("a", "b", "*", "?", "**", "/", "/", "[ab]", "[!a]", "\\*", ".", "ab", "a b", "[a-c]", "\\a", "***", "[]a]", "[!]b]", "[+-9]", "\\ ")
			}
			lines = append(lines, line+of("", "", "", "/"))
		}
		// Versions of git differ in what two asterisks beside letters are.
		if slices.ContainsFunc(strings.FieldsFunc(strings.Join(lines, "/"), func(r rune) bool { return r == '/' }), func(name string) bool {
			return strings.Contains(name, "**") && strings.Trim(name, "!*") != ""
		}) {
			continue
		}
		l, err := Parse(lines...)
		if errors.Is(err, errNoName) {
			continue // for git it matches nothing
		}
		if err != nil {
			t.Fatal(err)
		}
		rules := strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(dir, ".git", "info", "exclude"), []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		compare(t, git, dir, l)
	}
}

// compare holds a list against git, which knows the same patterns.
func compare(t *testing.T, git, dir string, l *List) {
	t.Helper()
	var all, ours []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(dir, p)
		switch {
		case err != nil || rerr != nil:
			return errors.Join(err, rerr)
		case rel == ".":
			return nil
		case rel == ".git":
			return fs.SkipDir
		}
		all = append(all, rel)
		parts := strings.Split(rel, "/")
		for i := range parts {
			if l.Excludes(strings.Join(parts[:i+1], "/"), i+1 < len(parts) || d.IsDir()) {
				ours = append(ours, rel)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(git, "check-ignore", "--no-index", "-z", "--stdin")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(strings.Join(all, "\x00"))
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 1 { // 1: none
		t.Fatal(err)
	}
	theirs := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(out) == 0 {
		theirs = nil
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("%q: we leave out %q, git %q", l, ours, theirs)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"*.o", "!a/", "d/**/[!x]\\ ", "{a}", "[[:x:]]", "a***b"} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, line, p string) {
		l, err := Parse(line)
		if err != nil {
			return
		}
		l.Excludes(p, false)
		if again, err := Parse(l.String()); err != nil || again.Excludes(p, true) != l.Excludes(p, true) {
			t.Errorf("%q becomes %q: %v", line, l.String(), err)
		}
	})
}
