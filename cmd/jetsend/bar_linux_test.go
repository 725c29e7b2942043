//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/xmpptest/pty"
)

// screen is as much of a terminal as a bar and lines need: it keeps rows of
// characters, each one column wide, and begins a new one at the right edge.
type screen struct {
	columns int
	rows    [][]rune
	at      int
}

func (s *screen) write(text string) {
	if s.rows == nil {
		s.rows = [][]rune{nil}
	}
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch r {
		case '\r':
			s.at = 0
		case '\n':
			s.rows, s.at = append(s.rows, nil), 0
		case '\x1b': // the one sequence of a bar: the rest of the line
			if rest, ok := strings.CutPrefix(text, "[K"); ok {
				row := &s.rows[len(s.rows)-1]
				*row, text = (*row)[:min(s.at, len(*row))], rest
				continue
			}
			fallthrough
		default:
			if s.at == s.columns {
				s.rows, s.at = append(s.rows, nil), 0
			}
			row := &s.rows[len(s.rows)-1]
			for len(*row) <= s.at {
				*row = append(*row, ' ')
			}
			(*row)[s.at] = r
			s.at++
		}
	}
}

func (s *screen) String() string {
	var b strings.Builder
	for _, row := range s.rows {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// TestBarOnTerminals lets a transfer go by on real terminals of several widths:
// one row for the bar, nothing of it left at the end, and no colours that are
// not wanted.
func TestBarOnTerminals(t *testing.T) {
	for columns, want := range map[int][2]string{
		20: {"balco…pg 40s  51%", "balco…pg 20s  75%"},
		40: {"1/3 balco…jpg 12 MB/s 40s direct  51%", "1/3 balco…jpg 12 MB/s 20s direct  75%"},
		80: {
			"1/3 balcony.jpg 512 MB/1.0 GB 12 MB/s 40s direct  51% |██████████          |",
			"1/3 balcony.jpg 750 MB/1.0 GB 12 MB/s 20s direct  75% |███████████████     |",
		},
	} {
		shown := onTerminal(t, columns, map[string]string{"NO_COLOR": "1"}, func(p printer, look func()) {
			h := event.Head{Transfer: "1", Direction: event.Send, Name: "balcony.jpg"}
			p.Expect(3)
			p.Event(event.Offer{Head: h, Size: 1e9})
			p.Event(event.Negotiated{Head: h, Transport: "s5b", Candidate: "direct", Cipher: "c"})
			for _, n := range []int64{1, 512e6, 750e6} {
				p.Event(event.Progress{Head: h, Bytes: n, Size: 1e9, Rate: 12e6})
				look()
			}
			p.Note("said meanwhile")
			p.Event(event.Progress{Head: h, Bytes: 999e6, Size: 1e9, Rate: 12e6})
			p.Event(event.Failed{Head: h, Reason: "over"})
			look()
		})
		for i, w := range want {
			if rows := strings.Split(shown[i+1], "\n"); rows[len(rows)-1] != w {
				t.Errorf("%d columns show\n%s\nwant the last to be\n%s", columns, shown[i+1], w)
			}
		}
		end := strings.ReplaceAll(shown[3], "\n", "")
		if strings.Contains(end, "%") || !strings.Contains(end, "said meanwhile") || !strings.HasSuffix(end, "over") {
			t.Errorf("%d columns end with\n%s", columns, shown[3])
		}
		if strings.Contains(end, "\x1b") {
			t.Errorf("%d columns: colours without being asked", columns)
		}
	}
}

// onTerminal lets a printer write to a terminal, and returns what the terminal
// shows each time that look is called.
func onTerminal(t *testing.T, columns int, env map[string]string, do func(p printer, look func())) (shown []string) {
	control, terminal, err := openPTY()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Resize(terminal, 24, columns); err != nil {
		t.Fatal(err)
	}
	c := newConsole(terminal, isTerminal(terminal), func(k string) string { return env[k] })
	p := newTextPrinter(c, new(bytes.Buffer), false, new(app).again, someTime)
	s := &screen{columns: columns}
	do(p, func() {
		const mark = "\x00" // a terminal hands it on as it is
		_, werr := terminal.WriteString(mark)
		text, rerr := readUntil(control, mark)
		if err := errors.Join(werr, rerr); err != nil {
			t.Fatal(err)
		}
		s.write(text)
		shown = append(shown, s.String())
	})
	p.Close()
	if err := errors.Join(terminal.Close(), control.Close()); err != nil {
		t.Error(err)
	}
	return shown
}

func readUntil(f *os.File, mark string) (string, error) {
	var text []byte
	b := make([]byte, 1)
	for {
		if _, err := f.Read(b); err != nil {
			return "", err
		}
		if string(b) == mark {
			return string(text), nil
		}
		text = append(text, b[0])
	}
}

// TestColours: on a terminal errors are red, unless NO_COLOR or a terminal that
// knows no colours says otherwise.
func TestColours(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"TERM": "xterm"}, true},
		{map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		{map[string]string{"TERM": "dumb"}, false},
	} {
		shown := onTerminal(t, 80, tt.env, func(p printer, look func()) {
			p.Fail(&failure{reason: "no"})
			look()
		})
		if strings.Contains(shown[0], "\x1b[31m") != tt.want {
			t.Errorf("%v: %q", tt.env, shown[0])
		}
	}
}

// TestBarAfterCtrlC: what the terminal echoes behind the bar goes with it, and so does
// the bar when a second Ctrl-C ends the process.
func TestBarAfterCtrlC(t *testing.T) {
	echo := func(p printer) { _, _ = io.WriteString(p.(*textPrinter).console.w, "^C") }
	h := event.Head{Transfer: "1", Direction: event.Send, Name: "a.iso"}
	progress := event.Progress{Head: h, Bytes: 512e6, Size: 1e9, Rate: 12e6}
	for _, end := range []func(p printer){
		func(p printer) { p.Event(event.Failed{Head: h, Reason: "interrupted"}) },
		func(p printer) { p.(*textPrinter).console.leave() },
	} {
		shown := onTerminal(t, 80, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, func(p printer, look func()) {
			p.Event(progress)
			echo(p)
			p.Event(progress)
			look()
			echo(p)
			look()
			end(p)
			p.Event(progress)
			p.Close()
			look()
		})
		for i, want := range []string{"51%", "51% |██████████          |^C", ""} {
			if i == 0 && strings.Contains(shown[0], "^C") || !strings.Contains(shown[i], want) {
				t.Errorf("look %d: %q", i, shown[i])
			}
		}
		if last := shown[2]; strings.Contains(last, "^C") || strings.Contains(last, "%") {
			t.Errorf("at the end there is %q", last)
		}
	}
}

// TestBarAndCtrlC: at no width does the ^C that a terminal echoes begin a line of its
// own, which nobody would wipe.
func TestBarAndCtrlC(t *testing.T) {
	h := event.Head{Transfer: "1", Direction: event.Send, Name: "the most excellent and lamentable tragedy.pdf"}
	for columns := 20; columns <= 160; columns++ {
		shown := onTerminal(t, columns, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, func(p printer, look func()) {
			p.Expect(3)
			p.Event(event.Negotiated{Head: h, Transport: "s5b", Candidate: "direct", Cipher: "c"})
			p.Event(event.Progress{Head: h, Bytes: 512e6, Size: 1e9, Rate: 12e6})
			_, _ = io.WriteString(p.(*textPrinter).console.w, "^C")
			look()
			p.Event(event.Failed{Head: h, Reason: "over"})
			look()
		})
		if rows := strings.Split(shown[0], "\n"); !strings.HasSuffix(shown[0], "^C") || rows[len(rows)-1] == "^C" || rows[len(rows)-1] == "C" || strings.Contains(shown[1], "^") {
			t.Errorf("%d columns: %q, then %q", columns, shown[0], shown[1])
		}
	}
}

// TestCtrlCWithoutBar: what the terminal echoed goes also where no bar is.
func TestCtrlCWithoutBar(t *testing.T) {
	shown := onTerminal(t, 80, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, func(p printer, look func()) {
		p.Note("waiting for files")
		_, _ = io.WriteString(p.(*textPrinter).console.w, "^C")
		p.Fail(&failure{code: exitcode.Cancelled, reason: "interrupted"})
		look()
	})
	if shown[0] != "waiting for files\ninterrupted" {
		t.Errorf("%q", shown[0])
	}
}
