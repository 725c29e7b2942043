package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/text/width"
)

// bar is a line that shows how far the transfers are.
type bar interface {
	// Update shows how things stand at present.
	Update(standing)
	// Clear wipes the line. The next Update shows it again.
	Clear()
	// Wipe is Clear of a line that the terminal may have written on.
	Wipe()
}

// standing is how far the transfers of the moment are.
type standing struct {
	count   string // which file of how many, "2/3"; "" where there is one or nobody knows
	label   string // the name of the file, or how many there are
	bytes   int64
	size    int64
	rate    int64  // bytes per second; 0 is not known
	path    string // direct, proxy, in-band; "" while there is none
	resumes int    // how often it went on after an interruption
}

// noBar is for everything that is no terminal.
type noBar struct{}

// Update implements bar.
func (noBar) Update(standing) {}

// Clear implements bar.
func (noBar) Clear() {}

// Wipe implements bar.
func (noBar) Wipe() {}

// terminalBar draws one line of a terminal, over and over. It never writes into
// the last column, where terminals begin a new line.
type terminalBar struct {
	w       io.Writer
	columns func() int
	erases  bool // the terminal knows how to wipe the rest of a line
	drawn   int  // columns that hold something now
}

// usualColumns is for terminals that do not tell how wide they are.
const usualColumns = 80

func newTerminalBar(w io.Writer, erases bool) *terminalBar {
	return &terminalBar{w: w, erases: erases, columns: columnsFor(w)}
}

// Update implements bar.
func (b *terminalBar) Update(s standing) {
	if s.size <= 0 {
		return // nothing to watch
	}
	columns := b.columns()
	line := s.line(columns - 1 - echoed)
	n := columnsOf(line)
	_, _ = io.WriteString(b.w, b.start(columns)+line+b.rest(b.drawn-n)) // an unwritable terminal is no reason to stop
	if b.erases {
		b.drawn = n
	} else {
		b.drawn = max(n, b.drawn)
	}
}

// echoed is what a terminal writes behind the line for a Ctrl-C, in columns: a ^C that
// does not fit would begin a line of its own, which nobody wipes.
const echoed = 2

// start goes to where the line begins. A terminal that has become narrower than the
// line has broken it, and the cursor is in its last part.
func (b *terminalBar) start(columns int) string {
	if !b.erases || b.drawn <= columns || columns <= 0 {
		return "\r"
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", (b.drawn-1)/columns)
}

// rest wipes what stands to the right of the cursor: so many columns, and what the
// terminal echoed behind them, such as ^C.
func (b *terminalBar) rest(columns int) string {
	if b.erases {
		return "\x1b[K"
	}
	return strings.Repeat(" ", max(columns, 0))
}

// Clear implements bar.
func (b *terminalBar) Clear() {
	if b.drawn > 0 {
		_, _ = io.WriteString(b.w, b.start(b.columns())+b.rest(b.drawn)+"\r")
		b.drawn = 0
	}
}

// Wipe implements bar.
func (b *terminalBar) Wipe() {
	if b.erases {
		b.drawn = max(b.drawn, 1)
	}
	b.Clear()
}

// The parts of the line that have no fixed width, in columns.
const (
	labelLeast = 6
	labelMost  = 24
	gaugeLeast = 8
	gaugeMost  = 20
	gaugeEdges = 3 // a space and two bars
	percentage = 5 // " 100%"
)

// line writes as much as fits into so many columns. The parts that tell most
// are chosen first: percentage and name, then when it will end.
func (s standing) line(columns int) string {
	least := min(labelLeast, columnsOf(s.label))
	free := columns - percentage - least
	take := func(field string) string {
		if n := columnsOf(field) + 1; field != "" && n <= free {
			free -= n
			return field
		}
		return ""
	}
	left, rate, amount, resumed := s.texts()
	left, rate = take(left), take(rate)
	count, path := take(s.count), take(s.path)
	gauge := 0
	if gaugeEdges+gaugeLeast <= free {
		gauge = gaugeLeast
		free -= gaugeEdges + gaugeLeast
	}
	amount, resumed = take(amount), take(resumed)
	name := shorten(s.label, min(labelMost, max(least+free, 1)))
	free -= columnsOf(name) - least
	if gauge > 0 {
		gauge = min(gauge+free, gaugeMost)
	}
	fields := []string{count, name, amount, rate, left, path, resumed}
	return strings.Join(strings.Fields(strings.Join(fields, " ")), " ") + s.gauge(gauge)
}

// texts are the fields of the line that are worked out.
func (s standing) texts() (left, rate, amount, resumed string) {
	amount = bytesText(s.bytes) + "/" + bytesText(s.size)
	if s.rate > 0 {
		rate = bytesText(s.rate) + "/s"
		left = (time.Duration(float64(s.size-min(s.bytes, s.size))/float64(s.rate)) * time.Second).String()
	}
	if s.resumes > 0 {
		resumed = fmt.Sprintf("resumed %dx", s.resumes)
	}
	return left, rate, amount, resumed
}

// gauge draws the percentage, and the bar where it has a width.
func (s standing) gauge(columns int) string {
	if columns == 0 {
		return fmt.Sprintf(" %3d%%", min(s.bytes, s.size)*100/s.size)
	}
	var b bytes.Buffer
	p := progressbar.NewOptions64(s.size,
		progressbar.OptionSetWriter(&b), progressbar.OptionSetWidth(columns), progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	_ = p.Set64(min(s.bytes, s.size)) // a Buffer takes everything
	text := b.String()
	return strings.TrimRight(text[strings.LastIndexByte(text, '\r')+1:], " ")
}

// shorten cuts the middle out of a long label: both the beginning of a name
// and its extension tell something.
func shorten(s string, columns int) string {
	if columnsOf(s) <= columns {
		return s
	}
	r := []rune(s)
	head, tail := 0, len(r)
	for room := columns - 1; ; { // one is for the dots
		// Two runes of the beginning for one of the end.
		next := head
		if 2*(len(r)-tail) < head {
			next = tail - 1
		}
		if room -= columnsOf(string(r[next])); room < 0 {
			return string(r[:head]) + "…" + string(r[tail:])
		}
		if next == head {
			head++
		} else {
			tail--
		}
	}
}

// columnsOf is how wide a terminal shows a text without control characters.
func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case k == width.EastAsianWide, k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}
