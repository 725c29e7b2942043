// Package exclude says which entries of a directory are left out, by patterns in the
// syntax of gitignore(5).
package exclude

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
)

// MaxBytes bounds the text of a list, which the journal keeps.
const MaxBytes = 64 << 10

// ErrTooLong means that a list has more than MaxBytes.
var ErrTooLong = fmt.Errorf("patterns of more than %d bytes", MaxBytes)

// List is an ordered list of patterns. The last one that matches an entry decides. A nil
// one leaves nothing out.
type List struct {
	text     string
	patterns []pattern
}

type pattern struct {
	names []string // globs of package doublestar, each for one name; anyDepth
	keep  bool     // an entry that matches is not left out
	dir   bool     // it is for directories alone
	base  bool     // it is for the last name of a path, at any depth
}

// anyDepth stands for any number of names, and for none.
const anyDepth = "**"

// Parse reads patterns, one each line, which may be blank or a comment. nil is returned
// when there are none.
func Parse(lines ...string) (*List, error) {
	l := &List{text: strings.Join(lines, "\n")}
	if len(l.text) > MaxBytes {
		return nil, ErrTooLong
	}
	for line := range strings.SplitSeq(l.text, "\n") {
		p, ok, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", line, err)
		}
		if ok {
			l.patterns = append(l.patterns, p)
		}
	}
	if l.patterns == nil {
		return nil, nil
	}
	return l, nil
}

// String is the text from which Parse makes the same list.
func (l *List) String() string {
	if l == nil {
		return ""
	}
	return l.text
}

var (
	errMalformed = errors.New("a bracket or a backslash has no end")
	errClass     = errors.New("named classes of characters, such as [:alpha:], are not known")
	errNoName    = errors.New("two slashes have no name between them")
)

func parse(line string) (p pattern, ok bool, err error) {
	line = trim(strings.TrimSuffix(line, "\r"))
	if line == "" || line[0] == '#' {
		return p, false, nil
	}
	line, p.keep = strings.CutPrefix(line, "!")
	line, p.dir = strings.CutSuffix(line, "/")
	p.base = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return p, false, nil
	}
	if strings.Contains(line, "[:") {
		return p, false, errClass
	}
	for name := range strings.SplitSeq(line, "/") {
		switch {
		case name == "":
			return p, false, errNoName
		case len(name) > 1 && strings.Trim(name, "*") == "" && !p.base:
			name = anyDepth
		default:
			if name = glob(runes(name)); !doublestar.ValidatePattern(name) {
				return p, false, errMalformed
			}
		}
		p.names = append(p.names, name)
	}
	if p.names[len(p.names)-1] == anyDepth { // everything inside, and not the directory itself
		p.names = append(p.names, "*")
	}
	return p, true, nil
}

// runes gives each byte that is not UTF-8 a character of its own, of those for private
// use: doublestar takes all of them for the same.
func runes(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = 0x10ff00 + rune(s[i])
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

// trim takes off the spaces at the end but one that a backslash holds.
func trim(line string) string {
	end := strings.TrimRight(line, " ")
	if slashes := len(end) - len(strings.TrimRight(end, `\`)); slashes%2 == 1 && end != line {
		return end + " "
	}
	return end
}

// glob writes one name of a pattern as doublestar understands it: with no alternatives in
// braces, with one asterisk for several, and with a bracket that is the first in brackets
// escaped.
func glob(name string) string {
	var b strings.Builder
	asterisk := false // the last one that was written is one
	for i := 0; i < len(name); i++ {
		before := asterisk
		asterisk = name[i] == '*'
		switch c := name[i]; {
		case c == '\\' && i+1 < len(name):
			b.WriteString(name[i : i+2])
			i++
		case c == '{' || c == '}':
			b.WriteByte('\\')
			b.WriteByte(c)
		case asterisk && before:
		case c == '[':
			end := bracket(&b, name[i:])
			i += end - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// bracket writes the brackets at the beginning of name, and returns how long they are; all
// of it when they have no end.
func bracket(b *strings.Builder, name string) int {
	i := 1
	if i < len(name) && (name[i] == '!' || name[i] == '^') {
		i++
	}
	b.WriteString(name[:i])
	for first := i; i < len(name); i++ {
		switch c := name[i]; {
		case c == '\\' && i+1 < len(name):
			b.WriteString(name[i : i+2])
			i++
		case c == ']' && i == first:
			b.WriteString(`\]`)
		case c == ']':
			b.WriteByte(c)
			return i + 1
		default:
			b.WriteByte(c)
		}
	}
	return len(name)
}

// Excludes reports whether an entry is left out. p is its path below the directory, with
// slashes. The caller does not ask about what is in a directory that is left out.
func (l *List) Excludes(p string, dir bool) bool {
	if l == nil {
		return false
	}
	names := strings.Split(runes(p), "/")
	for _, pat := range slices.Backward(l.patterns) {
		of := names
		if pat.base {
			of = names[len(names)-1:]
		}
		if (dir || !pat.dir) && matches(pat.names, of) {
			return !pat.keep
		}
	}
	return false
}

// matches holds the names of a path against globs. Where it fails behind an anyDepth, it
// goes on one name later behind the last of them: those before that have their names.
func matches(globs, names []string) bool {
	g, back, from := 0, -1, 0
	for n := 0; n < len(names); {
		switch {
		case g < len(globs) && globs[g] == anyDepth:
			g++
			back, from = g, n
		case g < len(globs) && doublestar.MatchUnvalidated(globs[g], names[n]):
			g++
			n++
		case back >= 0:
			from++
			g, n = back, from
		default:
			return false
		}
	}
	for g < len(globs) && globs[g] == anyDepth {
		g++
	}
	return g == len(globs)
}
