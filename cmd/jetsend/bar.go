package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar is a line that shows how far the transfers are.
type bar interface {
	// Update shows bytes of size under a label. Another label or size is
	// another bar.
	Update(label string, bytes, size int64)
	// Clear wipes the line. The next Update shows it again.
	Clear()
}

// noBar is for everything that is no terminal.
type noBar struct{}

// Update implements bar.
func (noBar) Update(string, int64, int64) {}

// Clear implements bar.
func (noBar) Clear() {}

// barWidth leaves room for label, rate and times on 80 columns.
const barWidth = 20

// barLabel bounds the label for the same reason.
const barLabel = 28

// terminalBar draws with progressbar.
type terminalBar struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	label string
	size  int64
	shown bool
}

func newTerminalBar(w io.Writer) *terminalBar { return &terminalBar{w: w} }

// Update implements bar.
func (b *terminalBar) Update(label string, bytes, size int64) {
	if size <= 0 {
		return // nothing to watch
	}
	if b.bar == nil || b.label != label || b.size != size {
		b.Clear()
		b.label, b.size = label, size
		b.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(b.w), progressbar.OptionSetVisibility(true),
			progressbar.OptionSetDescription(shorten(label, barLabel)), progressbar.OptionSetWidth(barWidth),
			progressbar.OptionShowBytes(true), progressbar.OptionShowTotalBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
		)
	}
	_ = b.bar.Set64(min(bytes, size)) // an unwritable terminal is no reason to stop
	b.shown = true
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
