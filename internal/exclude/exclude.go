// Package exclude says which entries of a directory are left out, by patterns in the
// syntax of gitignore(5).
package exclude

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

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
	glob string // of package doublestar
	keep bool   // an entry that matches is not left out
	dir  bool   // it is for directories alone
	base bool   // it is for the last name of a path, at any depth
}

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
)

func parse(line string) (p pattern, ok bool, err error) {
	line = strings.TrimSuffix(line, "\r")
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
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
	names := strings.Split(line, "/")
	for i, name := range names {
		if name != "**" {
			names[i] = strip(name)
		}
	}
	if !p.base && names[len(names)-1] == "**" { // everything inside, and not the directory itself
		names = append(names, "*")
	}
	p.glob = strings.Join(names, "/")
	if !doublestar.ValidatePattern(p.glob) {
		return p, false, errMalformed
	}
	return p, true, nil
}

// strip takes out of one name of a pattern what means more to doublestar than to git:
// alternatives in braces, and more than one asterisk.
func strip(name string) string {
	var b strings.Builder
	var last byte
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '\\' && i+1 < len(name):
			b.WriteByte(c)
			i++
			b.WriteByte(name[i])
			last = 0
			continue
		case c == '{' || c == '}':
			b.WriteByte('\\')
		case c == '*' && last == '*':
			continue
		}
		b.WriteByte(c)
		last = c
	}
	return b.String()
}

// Excludes reports whether an entry is left out. p is its path below the directory, with
// slashes. The caller does not ask about what is in a directory that is left out.
func (l *List) Excludes(p string, dir bool) bool {
	if l == nil {
		return false
	}
	for _, pat := range slices.Backward(l.patterns) {
		if pat.dir && !dir {
			continue
		}
		name := p
		if pat.base {
			name = path.Base(p)
		}
		if doublestar.MatchUnvalidated(pat.glob, name) {
			return !pat.keep
		}
	}
	return false
}
