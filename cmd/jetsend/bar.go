package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar is a line that shows how far the transfers are.
type bar interface {
	// Update shows bytes of size under a label, and how many come in a second
	// at present; 0 is not known. Another label or size is another bar.
	Update(label string, bytes, size, rate int64)
	// Clear wipes the line. The next Update shows it again.
	Clear()
}

// noBar is for everything that is no terminal.
type noBar struct{}

// Update implements bar.
func (noBar) Update(string, int64, int64, int64) {}

// Clear implements bar.
func (noBar) Clear() {}

// barWidth leaves room for label, bytes, rate and time on 80 columns.
const barWidth = 14

// barLabel bounds the label for the same reason.
const barLabel = 24

// terminalBar draws with progressbar. Its own rate would count what had been
// there before the transfer went on, so ours stands in the description.
type terminalBar struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	label string
	size  int64
	bytes int64 // as last shown
	shown bool
}

func newTerminalBar(w io.Writer) *terminalBar { return &terminalBar{w: w} }

// Update implements bar.
func (b *terminalBar) Update(label string, bytes, size, rate int64) {
	if size <= 0 {
		return // nothing to watch
	}
	// A bar that was full does not go back, as a transfer may that goes on.
	if b.bar == nil || b.label != label || b.size != size || bytes < b.bytes {
		b.Clear()
		b.label, b.size = label, size
		b.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(b.w), progressbar.OptionSetVisibility(true),
			progressbar.OptionSetWidth(barWidth), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionClearOnFinish(),
		)
	}
	_ = b.bar.Set64(min(bytes, size)) // an unwritable terminal is no reason to stop
	if bytes < size {
		b.bar.Describe(shorten(label, barLabel) + " " + pace(bytes, size, rate))
	}
	b.bytes, b.shown = bytes, true
}

// pace tells how far a transfer is, how fast it is at present, and how long it
// will take at that rate.
func pace(bytes, size, rate int64) string {
	s := bytesText(bytes) + "/" + bytesText(size)
	if rate <= 0 {
		return s
	}
	left := time.Duration(float64(size-bytes)/float64(rate)) * time.Second
	return s + " " + bytesText(rate) + "/s " + left.String()
}

// Clear implements bar.
func (b *terminalBar) Clear() {
	if b.shown {
		_ = b.bar.Clear()
		b.shown = false
	}
}

// shorten cuts the middle out of a long label: both the beginning of a name
// and its extension tell something.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	tail := n / 3
	return string(r[:n-tail-1]) + "…" + string(r[len(r)-tail:])
}
