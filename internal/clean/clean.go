// Package clean makes text that came from a peer safe to show: no control
// characters that drive a terminal, no bidi characters that turn a line
// around, no line breaks that forge a log line, and a bounded length.
package clean

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText bounds a piece of peer text on a screen or in a log line.
const MaxText = 512

// Text returns s fit for one line of a terminal or a log. A character that is
// not printable becomes U+FFFD or a space, never nothing, so that two different
// names cannot be made to look equal by invisible characters alone.
func Text(s string) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= MaxText {
			b.WriteString("…")
			break
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size <= 1, Hidden(r):
			b.WriteRune(unicode.ReplacementChar)
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Error returns what err says, fit for one line like [Text]. Of joined errors,
// which have a line each, it makes one sentence.
func Error(err error) string { return Text(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// Hidden reports whether r drives the display instead of being seen: controls,
// format characters (bidi marks, overrides and isolates, zero width
// characters, tags), surrogates, private use and line separators.
func Hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Co, unicode.Zl, unicode.Zp)
}
