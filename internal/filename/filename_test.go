package filename

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"jetsend/internal/clean"
)

func TestSafe(t *testing.T) {
	long := strings.Repeat("n", 251) + ".txt" // 255 bytes
	wide := "a." + strings.Repeat("n", 300)   // no extension that could be kept
	for in, want := range map[string]string{
		"a.iso":                    "a.iso",
		"two words.txt":            "two words.txt",
		"grüße – 日本.txt":           "grüße – 日本.txt",
		"e\u0301":                  "é",
		"../../etc/passwd":         "passwd",
		`..\..\evil.exe`:           "evil.exe",
		"/abs/olute":               "olute",
		"/root":                    "root",
		"dir/":                     fallback,
		"":                         fallback,
		".":                        fallback,
		"..":                       fallback,
		"...":                      fallback,
		" . ":                      fallback,
		".bashrc":                  "_bashrc",
		"..x":                      "_.x",
		"trailing. . ":             "trailing",
		"a\x00b\x1b[2J\n":          "a_b_[2J_",
		"exe.\u202etxt":            "exe._txt",
		"NUL":                      "_NUL",
		"con.txt":                  "_con.txt",
		"COM1":                     "_COM1",
		"lpt9.log":                 "_lpt9.log",
		"COM10":                    "COM10",
		"console":                  "console",
		"COMX":                     "COMX",
		"7":                        "7",
		"bad\xff":                  "bad_",
		"a:b|c?":                   "a_b_c_",
		long:                       long,
		"x" + long:                 "x" + strings.Repeat("n", 250) + ".txt",
		"\u00a0nbsp":               "nbsp",
		strings.Repeat("é", 200):   strings.Repeat("é", 127),
		wide:                       wide[:MaxBytes],
		"-rf":                      "-rf",
		"$(reboot);`x`&.txt":       "$(reboot);`x`&.txt",
		".jetsend-0.part":          "_jetsend-0.part",
		"con." + long[:251] + ".a": "_con." + strings.Repeat("n", 248) + ".a",
	} {
		if got := Safe(in); got != want {
			t.Errorf("%q: %q (%d), want %q (%d)", in, got, len(got), want, len(want))
		}
	}
}

func TestComponent(t *testing.T) {
	for in, want := range map[string]string{
		"a.iso":            "a.iso",
		".git":             "_git",
		`dev-x\x2dy.slice`: "dev-x_x2dy.slice",
		`..\..\evil.exe`:   "_._.._evil.exe",
		"../x":             "_._x",
		"aux.c":            "_aux.c",
		"e\u0301":          "é",
		"":                 fallback,
		"..":               fallback,
	} {
		if got := Component(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNumbered(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    int
		want string
	}{
		{"a.iso", 0, "a.iso"},
		{"a.iso", 2, "a (2).iso"},
		{"README", 1, "README (1)"},
		{strings.Repeat("n", 251) + ".txt", 12, strings.Repeat("n", 246) + " (12).txt"},
		{"n." + strings.Repeat("e", 15), 1, "n (1)." + strings.Repeat("e", 15)},
		{"n." + strings.Repeat("e", 16), 1, "n." + strings.Repeat("e", 16) + " (1)"},
		{"n." + strings.Repeat("e", 253), 1, "n." + strings.Repeat("e", 249) + " (1)"},
	} {
		if got := Numbered(tt.name, tt.n); got != tt.want {
			t.Errorf("%q %d: %q", tt.name, tt.n, got)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"../a", "CON", strings.Repeat("é", 130) + ".x", ". .", "\u202e.\x00", "com¹.", "\u0344\u0344"} {
		f.Add(s)
	}
	files, err := filepath.Glob("../dialect/testdata/replay/*.xml") // what other clients say
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`<name>([^<]*)</name>`).FindAllSubmatch(b, -1) {
			f.Add(string(m[1]))
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := Safe(in)
		switch {
		case got == "", len(got) > MaxBytes, !utf8.ValidString(got), !norm.NFC.IsNormalString(got),
			strings.ContainsAny(got, `/\`), strings.ContainsFunc(got, clean.Hidden),
			got[0] == '.', strings.HasSuffix(got, "."), strings.HasSuffix(got, " "), device(got):
			t.Fatalf("%q became %q", in, got)
		}
		if again := Safe(got); again != got {
			t.Fatalf("%q: %q is not stable: %q", in, got, again)
		}
		for _, n := range []int{1, 999} {
			if num := Numbered(got, n); len(num) > MaxBytes || !utf8.ValidString(num) || num == got {
				t.Fatalf("%q numbered %q", got, num)
			}
		}
	})
}

// A plain name is a safe one that every file system can hold.
func TestPlain(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "grüße.txt": "gr__e.txt", "日本": "__", strings.Repeat("x", 255): strings.Repeat("x", plainBytes),
		strings.Repeat("x", 200) + ".tar": strings.Repeat("x", plainBytes-4) + ".tar", "é": "_",
	} {
		if got := Plain(name); got != want || Safe(got) != got || len(got) > plainBytes {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestOnWindows: what Safe makes is a name there, and what would mean something else is none.
func TestOnWindows(t *testing.T) {
	for _, name := range []string{"a.txt", ".git", " a", "grüße", "_con", "com", "com10", "console.log", "a b"} {
		if !OnWindows(name) {
			t.Errorf("%q is none", name)
		}
	}
	for _, name := range []string{"", ".", "..", "a:b", "a.", "a ", "CON", "aux.c", "com1", "LPT².txt", `a\b`, "a/b", "a?", "a*", "a\x01", `"`, "<", ">", "|", "nul .x"} {
		if OnWindows(name) {
			t.Errorf("%q is one", name)
		}
		if safe := Component(name); name != "" && !OnWindows(safe) {
			t.Errorf("%q is safe as %q", name, safe)
		}
	}
}
