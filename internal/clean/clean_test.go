package clean

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain name.txt":      "plain name.txt",
		"ünïcode – 日本":        "ünïcode – 日本",
		"a\x1b[2Jb":           "a\uFFFD[2Jb",
		"a\r\nforged: line":   "a\uFFFD\uFFFDforged: line",
		"exe.\u202Etxt.cod":   "exe.\uFFFDtxt.cod",
		"bad\xffutf":          "bad\uFFFDutf",
		"zero\u200bwidth\x00": "zero\uFFFDwidth\uFFFD",
		"nb\u00a0sp":          "nb sp",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Error(errors.Join(io.EOF, errors.New("a\x1b[2J"))); got != "EOF; a\ufffd[2J" {
		t.Errorf("joined: %q", got)
	}
	if got := Text(strings.Repeat("é", 5000)); len(got) > MaxText+8 {
		t.Errorf("not cut: %d bytes", len(got))
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[31m\u2066b")
	f.Fuzz(func(t *testing.T, in string) {
		out := Text(in)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, Hidden) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
