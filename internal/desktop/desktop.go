// Package desktop tells the user of a graphical session what happened, by the Desktop
// Notifications Specification of freedesktop.org (version 1.2) over the session bus. It is
// the only package that knows D-Bus. Nothing waits for it: what the desktop does not take
// in time is lost.
package desktop

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"jetsend/internal/backoff"
	"jetsend/internal/clean"
)

const (
	// maxSummary and maxBody bound what is shown, in runes.
	maxSummary, maxBody = 100, 200
	// maxWaiting bounds the messages that wait to be shown; what comes behind them is
	// counted only.
	maxWaiting = 64
	// maxLines is how many messages of one kind are shown as one.
	maxLines = 5
	// patience is how long the bus and the desktop may take for one message.
	patience = 3 * time.Second
	// apart is the time between two messages: what comes meanwhile is shown as one.
	apart = time.Second
)

// Message is what is told. Summary is a text of ours, Body may have the words of others.
type Message struct {
	Summary string
	Body    string
	// Category is one of the specification, such as transfer.complete.
	Category string
}

// Notifier tells. Its methods may be called from any goroutine; a nil one tells nobody.
type Notifier struct {
	address string
	log     *slog.Logger

	mu      sync.Mutex
	waiting []Message
	more    map[string]int // of each summary, beyond maxWaiting
	wake    chan struct{}
}

// New returns a notifier for the bus at an address; nil for none.
func New(address string, log *slog.Logger) *Notifier {
	if address == "" {
		return nil
	}
	return &Notifier{address: address, log: log, more: make(map[string]int), wake: make(chan struct{}, 1)}
}

// Notify has Run show a message. It waits for nothing.
func (n *Notifier) Notify(m Message) {
	if n == nil {
		return
	}
	n.mu.Lock()
	if len(n.waiting) < maxWaiting {
		n.waiting = append(n.waiting, m)
	} else {
		n.more[m.Summary]++
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run shows what Notify is told, until ctx ends, and then what is left of it.
func (n *Notifier) Run(ctx context.Context) {
	if n == nil {
		return
	}
	for {
		select {
		case <-n.wake:
			n.show()
		case <-ctx.Done():
			n.show()
			return
		}
		_ = backoff.Wait(ctx, apart) // at the end, what waits is shown
	}
}

// show shows all that waits.
func (n *Notifier) show() {
	n.mu.Lock()
	messages := merged(n.waiting, n.more)
	n.waiting, n.more = nil, make(map[string]int)
	n.mu.Unlock()
	if len(messages) == 0 {
		return
	}
	// Of its own: what happened last is told when the run is over, too.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.send(ctx, messages); err != nil {
		n.log.Info("desktop notification", "error", err)
	}
}

// merged are messages with those of one summary as one.
func merged(waiting []Message, more map[string]int) (out []Message) {
	count, at := map[string]int{}, map[string]int{}
	for _, m := range waiting {
		body := escaped(m.Body)
		count[m.Summary]++
		i, known := at[m.Summary]
		switch {
		case !known:
			at[m.Summary] = len(out)
			out = append(out, Message{Summary: m.Summary, Body: body, Category: m.Category})
		case count[m.Summary] <= maxLines:
			out[i].Body += "\n" + body
		}
	}
	for i := range out {
		all := count[out[i].Summary] + more[out[i].Summary]
		if rest := all - maxLines; rest > 0 {
			out[i].Body += fmt.Sprintf("\nand %d more", rest)
		}
		summary := cut(clean.Text(out[i].Summary), maxSummary)
		if all > 1 {
			summary += fmt.Sprintf(" (%d)", all)
		}
		out[i].Summary = summary
	}
	return out
}

// escaped is text that no desktop takes for markup, or for anything but a line.
func escaped(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(cut(clean.Text(text), maxBody))
}

// cut is the beginning of a text.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
