package main

import (
	"context"

	"jetsend/internal/desktop"
	"jetsend/internal/event"
	"jetsend/internal/transfer"
)

// show tells the desktop of what somebody who looks away wants to know.
func (d *daemon) show(e event.Event) {
	switch e := e.(type) {
	case event.Received:
		summary := "File received"
		if e.Directory {
			summary = "Directory received"
		}
		d.tell(desktop.Message{Summary: summary, Category: "transfer.complete", Body: e.Name + " (" + bytesText(e.Size) + ") from " + bare(e.Peer)})
	case event.Failed:
		if e.Resumable || e.Declined {
			return
		}
		summary, way := "Not received", " from "
		if e.Direction == event.Send {
			summary, way = "Not sent", " to "
		}
		d.tell(desktop.Message{Summary: summary, Category: "transfer.error", Body: e.Name + way + bare(e.Peer) + ": " + e.Reason})
	}
}

// asking has the desktop told that an offer waits for an answer on the terminal.
func (d *daemon) asking(o *transfer.ReceiveOptions) {
	ask := o.Ask
	if ask == nil {
		return
	}
	o.Ask = func(ctx context.Context, q transfer.Question) (bool, error) {
		d.tell(desktop.Message{
			Summary: "An offer waits for your answer", Category: "transfer",
			Body: q.Name + " (" + bytesText(q.Size) + ") from " + bare(q.Peer.String()) + ", on the terminal of jetsend",
		})
		return ask(ctx, q)
	}
}

// tell tells the desktop, unless the user does not want that.
func (d *daemon) tell(m desktop.Message) {
	d.mu.Lock()
	on := d.notifying
	d.mu.Unlock()
	if on {
		d.desk.Notify(m)
	}
}
