package main

import (
	"testing"
)

func TestScreen(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"lines":          {"a\r\nb", "a\nb\n\n\n"},
		"overwritten":    {"abc\rx", "xbc\n\n\n\n"},
		"broken":         {"0123456789ab\r\nc", "0123456789ab\nc\n\n"},
		"full line":      {"0123456789\r\nc", "0123456789\nc\n\n\n"},
		"erased":         {"abc\rx\x1b[K", "x\n\n\n\n"},
		"whole line":     {"abc\x1b[2K\rx", "x\n\n\n\n"},
		"up":             {"one\r\ntwo\x1b[1A\rO", "One\ntwo\n\n\n"},
		"bar narrower":   {"0123456789ab\x1b[1A\r\x1b[Jx", "x\n\n\n\n"},
		"looks":          {"\x1b[1;31ma\x1b[0mb", "ab\n\n\n\n"},
		"unknown":        {"\x1b[?25la\x1b=b", "ab\n\n\n\n"},
		"typing":         {"ab\b \bc", "ac\n\n\n\n"},
		"not ASCII":      {"█ ü", "█ ü\n\n\n\n"},
		"out of the top": {"1\r\n2\r\n3\r\n4\r\n5", "2\n3\n4\n5\n"},
	} {
		s := newScreen(4, 10)
		for i := range len(tt.in) { // whatever comes together
			_, _ = s.Write([]byte{tt.in[i]})
		}
		if got := s.text(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
