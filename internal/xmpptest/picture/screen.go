package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// style is how a character looks: its colour as SGR has it, 0 for that of the terminal.
type style struct {
	colour int
	bold   bool
}

type cell struct {
	r rune
	style
}

// screen is as much of a terminal as a shell and jetsend need. Each character is one column
// wide. It has no rows above its first one: what does not fit is lost, and counted.
type screen struct {
	columns, rows int
	lines         [][]cell
	broken        map[int]bool // lines that go on in the next one
	x, y          int
	now           style
	rest          []byte // the beginning of a character or sequence
	lost          int
}

func newScreen(rows, columns int) *screen {
	return &screen{columns: columns, rows: rows, lines: make([][]cell, rows), broken: map[int]bool{}}
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for len(s.rest) > 0 {
		n := s.take(s.rest)
		if n == 0 {
			break // the rest is still to come
		}
		s.rest = s.rest[n:]
	}
	return len(p), nil
}

// take does what the first character or sequence says, and returns its length.
func (s *screen) take(p []byte) int {
	switch p[0] {
	case '\r':
		s.x = 0
	case '\n':
		s.down()
	case '\b':
		s.x = max(min(s.x, s.columns-1)-1, 0)
	case 0x1b:
		return s.escape(p)
	default:
		if !utf8.FullRune(p) {
			return 0
		}
		r, n := utf8.DecodeRune(p)
		if r >= ' ' && r != 0x7f {
			s.put(r)
		}
		return n
	}
	return 1
}

// put writes a character; one behind the last column begins a new line.
func (s *screen) put(r rune) {
	if s.x >= s.columns {
		s.broken[s.y] = true
		s.x = 0
		s.down()
	}
	line := s.lines[s.y]
	for len(line) <= s.x {
		line = append(line, cell{r: ' '})
	}
	line[s.x] = cell{r, s.now}
	s.lines[s.y] = line
	s.x++
}

func (s *screen) down() {
	if s.y++; s.y == s.rows {
		s.lines = append(s.lines[1:], nil)
		s.y--
		s.lost++
	}
}

// escape does what a control sequence says (ECMA-48): movement, erasure and looks. Others
// change nothing here.
func (s *screen) escape(p []byte) int {
	if len(p) < 2 {
		return 0
	}
	if p[1] != '[' {
		return 2
	}
	for i := 2; i < len(p); i++ {
		if p[i] >= '@' && p[i] <= '~' {
			s.control(p[i], string(p[2:i]))
			return i + 1
		}
	}
	return 0
}

func (s *screen) control(final byte, parameters string) {
	n, _ := strconv.Atoi(parameters) // 0 when it is left out
	switch final {
	case 'A':
		s.y = max(s.y-max(n, 1), 0)
	case 'K':
		s.erase(n)
	case 'J': // from here to the end: jetsend asks for no other
		s.erase(0)
		for y := s.y + 1; y < s.rows; y++ {
			s.lines[y] = nil
		}
	case 'm':
		for _, p := range strings.Split(parameters, ";") {
			s.look(p)
		}
	}
}

// erase wipes the line: behind the cursor, or all of it.
func (s *screen) erase(what int) {
	delete(s.broken, s.y)
	switch line := s.lines[s.y]; {
	case what != 0:
		s.lines[s.y] = nil
	case s.x < len(line):
		s.lines[s.y] = line[:s.x]
	}
}

func (s *screen) look(parameter string) {
	switch n, _ := strconv.Atoi(parameter); {
	case n == 0:
		s.now = style{}
	case n == 1:
		s.now.bold = true
	case n >= 30 && n <= 37, n >= 90 && n <= 97:
		s.now.colour = n
	case n == 39:
		s.now.colour = 0
	}
}

// text is what can be read, with lines that the right edge has broken put together.
func (s *screen) text() string {
	var b strings.Builder
	for y, line := range s.lines {
		for _, c := range line {
			b.WriteRune(c.r)
		}
		if !s.broken[y] {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// used is how many lines have something in them.
func (s *screen) used() int {
	n := s.rows
	for n > 0 && len(s.lines[n-1]) == 0 {
		n--
	}
	return n
}
