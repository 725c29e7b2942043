package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Size
		err  string // part of the error, empty for none
	}{
		{"0", 0, ""},
		{"4096", 4096, ""},
		{"4096B", 4096, ""},
		{"200MB", 200_000_000, ""},
		{"200 mb", 200_000_000, ""},
		{"200MiB", 200 << 20, ""},
		{"1.5GiB", 3 << 29, ""},
		{"0.5kB", 500, ""},
		{"7TiB", 7 << 40, ""},
		{"9223372036854775807", 1<<63 - 1, ""},
		{"9007199254740993B", 1<<53 + 1, ""}, // not through a float
		{"9223372036854775808", 0, "too large"},
		{"9000000TiB", 0, "too large"},
		{"1e3", 0, "not a size"},
		{"-1", 0, "not a size"},
		{"+1", 0, "not a size"},
		{"", 0, "not a size"},
		{"MB", 0, "not a size"},
		{"1.2.3MB", 0, "not a size"},
		{".", 0, "not a size"},
		{"1 parsec", 0, "the unit is one of"},
		{"200M", 0, "write 200MB (powers of 1000) or 200MiB (powers of 1024)"},
		{"10MB/s", 0, "not a size"}, // a rate, not a size
	} {
		got, err := ParseSize(tt.in)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", tt.in, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("ParseSize(%q) = %d, %v; want an error with %q", tt.in, got, err, tt.err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]Rate{"10MB/s": 10e6, "10MB": 10e6, "0": 0, "1MiB /s": 1 << 20} {
		if got, err := ParseRate(in); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	if _, err := ParseRate("10M/s"); err == nil {
		t.Error("an ambiguous rate was taken")
	}
}

func FuzzSizeText(f *testing.F) {
	for _, n := range []int64{0, 1, 1000, 1024, 1 << 40, 1e12, 12345678, 1<<63 - 1} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		if n < 0 {
			return
		}
		if got, err := ParseSize(Size(n).String()); err != nil || got != Size(n) {
			t.Errorf("%d is written %s and read back as %d, %v", n, Size(n), got, err)
		}
	})
}

func TestParseDuration(t *testing.T) {
	for _, bad := range []string{"", "10", "-5s", "soon", "d", "-7d", "1.5d", "+1d", "7d12", "7d-1h", "1h7d", "1d1d", "200000d", "106751d24h", "99999999999999999999d"} {
		if d, err := ParseDuration(bad); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", bad, d)
		}
	}
	for text, want := range map[string]time.Duration{
		"1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, " 0d ": 0, "0": 0,
	} {
		if d, err := ParseDuration(text); err != nil || d != want {
			t.Errorf("ParseDuration(%q) = %v, %v", text, d, err)
		}
	}
}
