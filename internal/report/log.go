package report

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MaxLines is how many lines of a log are in a report, the last ones.
const MaxLines = 200

// maxAttributes bounds those of a line that is read.
const maxAttributes = 40

// Record is a line of a log.
type Record struct {
	Time, Level, Message string
	Attributes           [][2]string
}

// Line shows a record: a message that is not ours is left out, and so is every attribute that
// is not on the list.
func (n *Names) Line(r Record) string {
	parts := []string{left, left, left}
	if at, err := time.Parse(time.RFC3339Nano, r.Time); err == nil {
		parts[0] = at.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if slices.Contains([]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR"}, r.Level) {
		parts[1] = r.Level
	}
	if isMessage(r.Message) {
		parts[2] = strconv.Quote(r.Message)
	}
	for _, a := range r.Attributes {
		if text := n.value(attributes[a[0]], a[1]); text != "" {
			parts = append(parts, a[0]+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

// Parse reads a line as slog's text handler writes it. What is not of that form is no attribute.
func Parse(line string) Record {
	var r Record
	for range maxAttributes {
		line = strings.TrimLeft(line, " ")
		name, rest, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(name, " \"") {
			break
		}
		var value string
		if quoted, err := strconv.QuotedPrefix(rest); err == nil && strings.HasPrefix(rest, `"`) {
			value, _ = strconv.Unquote(quoted)
			line = rest[len(quoted):]
		} else {
			value, line, _ = strings.Cut(rest, " ")
		}
		switch name {
		case slog.TimeKey:
			r.Time = value
		case slog.LevelKey:
			r.Level = value
		case slog.MessageKey:
			r.Message = value
		default:
			r.Attributes = append(r.Attributes, [2]string{name, value})
		}
	}
	return r
}

// Memory is a [slog.Handler] that keeps the last lines, from the level of debugging up.
type Memory struct {
	kept *kept
	with [][2]string
	deep bool // in a group, where names mean something else
}

type kept struct {
	mu      sync.Mutex
	records []Record
}

// NewMemory returns an empty one.
func NewMemory() *Memory { return &Memory{kept: &kept{}} }

// Records are the lines that are kept.
func (m *Memory) Records() []Record {
	m.kept.mu.Lock()
	defer m.kept.mu.Unlock()
	return slices.Clone(m.kept.records)
}

// Enabled implements [slog.Handler].
func (m *Memory) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelDebug }

// Handle implements [slog.Handler].
func (m *Memory) Handle(_ context.Context, r slog.Record) error {
	line := Record{Time: r.Time.Format(time.RFC3339Nano), Level: r.Level.String(), Message: r.Message, Attributes: slices.Clone(m.with)}
	r.Attrs(func(a slog.Attr) bool {
		line.Attributes = m.add(line.Attributes, a)
		return true
	})
	m.kept.mu.Lock()
	defer m.kept.mu.Unlock()
	if len(m.kept.records) >= MaxLines {
		m.kept.records = m.kept.records[1:]
	}
	m.kept.records = append(m.kept.records, line)
	return nil
}

// add adds what is on the list; the rest is not even kept.
func (m *Memory) add(to [][2]string, a slog.Attr) [][2]string {
	if m.deep || attributes[a.Key] == none {
		return to
	}
	return append(to, [2]string{a.Key, a.Value.Resolve().String()})
}

// WithAttrs implements [slog.Handler].
func (m *Memory) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := &Memory{m.kept, slices.Clone(m.with), m.deep}
	for _, a := range attrs {
		next.with = next.add(next.with, a)
	}
	return next
}

// WithGroup implements [slog.Handler].
func (m *Memory) WithGroup(string) slog.Handler { return &Memory{m.kept, m.with, true} }
