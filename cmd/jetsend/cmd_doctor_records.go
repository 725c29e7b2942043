package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"jetsend/internal/clean"
	"jetsend/internal/doctor"
	"jetsend/internal/outset"
)

// The text form of a finding: status, check and sentence side by side, or, on
// a terminal of fewer columns than narrow, the sentence below the other two.
const (
	statusWidth = 4
	checkWidth  = 17
	narrow      = 60
)

// outputWidth is how many columns the terminal behind out has, or 0.
func outputWidth(out io.Writer) int {
	if !isTerminal(out) {
		return 0
	}
	f, ok := out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// findingRecord is one finding of `doctor`.
type findingRecord struct {
	doctor.Finding
	heading bool // the first one of its area
	width   int
}

// Kind implements record.
func (findingRecord) Kind() string { return "finding" }

// Columns implements record.
func (r findingRecord) Columns() []string { return []string{string(r.Status), r.Check, r.Text} }

// Sheet implements sheet.
func (r findingRecord) Sheet() [][]string {
	var lines []string
	if r.heading {
		lines = append(lines, strings.ToUpper(r.Area))
	}
	indent := strings.Repeat(" ", statusWidth+1+checkWidth+1)
	head := fmt.Sprintf("%-*s %-*s ", statusWidth, r.Status, checkWidth, r.Check)
	if r.width > 0 && r.width < narrow {
		indent = "  "
		lines = append(lines, strings.TrimRight(head, " "))
		head = indent
	}
	for i, part := range wrap(r.Text, r.width-len(indent)) {
		if i > 0 {
			head = indent
		}
		lines = append(lines, head+part)
	}
	for _, h := range r.Hints {
		head := indent + "hint: "
		for _, part := range wrap(h, r.width-len(head)) {
			lines = append(lines, head+part)
			head = indent + "      "
		}
	}
	return cells(lines)
}

// cells are lines of text as rows of one cell.
func cells(lines []string) [][]string {
	var rows [][]string
	for _, l := range lines {
		rows = append(rows, []string{l})
	}
	return rows
}

// wrap breaks text between words into lines of at most width characters, as far
// as its words allow; without a width it is one line. A command between backquotes
// stays in one piece, to be pasted.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range words(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// words are those of a text; a command between backquotes is one.
func words(text string) (all []string) {
	open := false
	for _, field := range strings.Fields(text) {
		if open {
			all[len(all)-1] += " " + field
		} else {
			all = append(all, field)
		}
		open = open != (strings.Count(field, "`")%2 == 1)
	}
	return all
}

// diagnosisRecord is the last object of `doctor`.
type diagnosisRecord struct {
	Account  string       `json:"account"`
	Contact  string       `json:"contact,omitempty"`
	Works    bool         `json:"works"`
	Code     int          `json:"code"` // that a send would end with
	Reason   string       `json:"reason,omitempty"`
	Failures int          `json:"failures"`
	Warnings int          `json:"warnings"`
	Warned   []string     `json:"warned,omitempty"` // the checks with a warning
	Plan     *doctor.Plan `json:"plan,omitempty"`   // what a send would do
}

// Kind implements record.
func (diagnosisRecord) Kind() string { return "diagnosis" }

// Columns implements record.
func (r diagnosisRecord) Columns() []string {
	what := "the account " + r.Account + " is ready"
	if r.Contact != "" {
		what = "a send to " + r.Contact + " would work"
	}
	if !r.Works {
		what = fmt.Sprintf("a send would end with exit code %d: %s", r.Code, r.Reason)
	}
	counted := fmt.Sprintf("failures: %d, warnings: %d", r.Failures, r.Warnings)
	if len(r.Warned) > 0 {
		counted += ": " + strings.Join(r.Warned, ", ")
	}
	return []string{fmt.Sprintf("%s (%s)", what, counted)}
}

// planRecord is what `send --dry-run` would send.
type planRecord struct{ doctor.Plan }

// Kind implements record.
func (planRecord) Kind() string { return "plan" }

// Columns implements record.
func (r planRecord) Columns() []string {
	return []string{r.File.Name, r.To, r.Form, cipherText(r.Encryption, r.Cipher)}
}

// Sheet implements sheet.
func (r planRecord) Sheet() [][]string {
	name := "visible to the servers"
	if r.NameHidden {
		name = "hidden from the servers"
	}
	receipt := "the contact's client only says that it is done"
	if r.Receipt {
		receipt = "a sealed receipt proves that the file arrived"
	}
	rows := [][]string{
		{r.what(), fmt.Sprintf("%s (%s), its name %s", clean.Text(r.File.Name), r.size(), name)},
		{"to", r.To},
		{"form", r.Form + ", " + cipherText(r.Encryption, r.Cipher) + "; " + receipt},
		{"path", strings.Join(r.Transports, ", then ")},
	}
	for _, c := range r.Candidates {
		rows = append(rows, []string{"", c.String()})
	}
	for _, at := range r.Meet {
		rows = append(rows, []string{"", "meeting a jetsend at " + at})
	}
	for _, d := range r.Devices {
		text := fmt.Sprintf("device %d, key %s, %s", d.ID, groups(d.Fingerprint), d.Trust)
		if d.New {
			text += ", new"
		}
		rows = append(rows, []string{"encrypted for", text})
	}
	if s := r.File.Since; s != nil {
		rows = append(rows, []string{"last sent", sinceText(s)})
	}
	if r.File.Transfer != "" {
		rows = append(rows, []string{"goes on", fmt.Sprintf("transfer %s at %s", short(r.File.Transfer), percent(r.File.ResumedFrom, r.File.Size))})
	}
	return rows
}

// sinceText says what has become of a folder that was sent before.
func sinceText(s *outset.Since) string {
	text := s.Sent.Local().Format("2006-01-02 15:04")
	text += fmt.Sprintf("; since then %d new, %d changed (%s), %d equal", s.New, s.Changed, bytesText(s.Bytes), s.Equal)
	if s.Gone > 0 {
		text += fmt.Sprintf(", %d gone, which stay there", s.Gone)
	}
	return text + "; only what is new or changed is sent to `receive --on-conflict update`"
}

// what calls what would be sent.
func (r planRecord) what() string {
	if r.File.Directory {
		return "directory"
	}
	return "file"
}

// size is that of what would be sent, and of the set that it goes in.
func (r planRecord) size() string {
	s := bytesText(r.File.Size)
	if r.File.Directory {
		s += fmt.Sprintf(", %d entries", r.File.Entries)
	}
	if r.Items > 1 {
		s += fmt.Sprintf("; one of %d in one session, %s together", r.Items, bytesText(r.SetSize))
	}
	return s
}
