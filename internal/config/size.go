package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. In text it is a number and a unit: `200MB` is
// 200·10^6 bytes, `200MiB` 200·2^20, `1.5GiB` and a bare `4096` work as well.
type Size int64

// Rate is a number of bytes per second, written as a [Size] with an optional
// `/s` behind it. Zero is no limit.
type Rate int64

// units are the spellings of a unit, in lower case, and what each multiplies
// by. A bare `M` is left out on purpose: half of the tools take it as 10^6 and
// the other half as 2^20.
var units = map[string]float64{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// ParseSize reads a size.
func ParseSize(s string) (Size, error) {
	text := strings.TrimSpace(s)
	end := strings.LastIndexAny(text, "0123456789.") + 1
	number, unit := text[:end], strings.ToLower(strings.TrimSpace(text[end:]))
	if number == "" || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a size: write a number and a unit, like 200MB or 1.5GiB", s)
	}
	factor, ok := units[unit]
	switch {
	case !ok && len(unit) == 1 && strings.Contains("kmgt", unit):
		u := strings.ToUpper(unit)
		return 0, fmt.Errorf("%q is ambiguous: write %s%sB (powers of 1000) or %s%siB (powers of 1024)", s, number, u, number, u)
	case !ok:
		return 0, fmt.Errorf("%q is not a size: the unit is one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB", s)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil { // whole numbers stay exact
		if n > math.MaxInt64/int64(factor) {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return Size(n * int64(factor)), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size: write a number and a unit, like 200MB or 1.5GiB", s)
	}
	if f *= factor; f >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return Size(f), nil
}

// ParseRate reads a rate.
func ParseRate(s string) (Rate, error) {
	n, err := ParseSize(strings.TrimSuffix(strings.TrimSpace(s), "/s"))
	if err != nil {
		return 0, fmt.Errorf("rate: %w", err)
	}
	return Rate(n), nil
}

// day is what the unit d of a duration means, whatever the clocks do in spring.
const day = 24 * time.Hour

// ParseDuration reads a time span that is not negative, such as 10s, 5m or
// 1h30m; whole days may stand first, as in 7d or 1d12h. A bare number is
// refused: nobody knows what it counts.
func ParseDuration(s string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration: write a number and a unit, like 10s, 5m, 1h30m or 7d", s)
	text := strings.TrimSpace(s)
	var total time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, wrong
		}
		if total, text = time.Duration(n)*day, rest; rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > math.MaxInt64-total {
		return 0, wrong
	}
	return total + d, nil
}

// String writes the size so that [ParseSize] reads the same value.
func (s Size) String() string {
	for _, u := range []struct {
		name  string
		bytes Size
	}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// String writes the rate so that [ParseRate] reads the same value.
func (r Rate) String() string { return Size(r).String() }

// Set implements pflag.Value.
func (s *Size) Set(text string) (err error) { *s, err = ParseSize(text); return err }

// Type implements pflag.Value; it is what the help text shows as the argument.
func (*Size) Type() string { return "SIZE" }

// Set implements pflag.Value.
func (r *Rate) Set(text string) (err error) { *r, err = ParseRate(text); return err }

// Type implements pflag.Value; it is what the help text shows as the argument.
func (*Rate) Type() string { return "RATE" }
