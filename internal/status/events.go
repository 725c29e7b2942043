package status

import (
	"fmt"

	"jetsend/internal/event"
)

// Event takes note of what happened.
func (c *Collector) Event(e event.Event) {
	if _, ok := e.(event.Online); ok {
		c.Up()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if early, ok := e.(event.FailedEarly); ok {
		text := early.Reason
		if early.Peer != "" {
			text = early.Peer + ": " + text
		}
		c.fault(early.Code, text)
		c.touch()
		return
	}
	head, ok := event.Of(e)
	if !ok {
		return
	}
	if !c.ended(head, e) {
		c.moved(head, e)
	}
	c.touch()
}

// ended takes note of an event behind which the transfer is none of the run any more.
func (c *Collector) ended(h event.Head, e event.Event) bool {
	switch e := e.(type) {
	case event.Sent, event.Received:
	case event.Failed:
		if !e.Declined {
			c.fault(e.Code, h.Name+": "+e.Reason)
		}
	case event.Hook: // behind the end
		if e.Status != 0 {
			text := e.Reason
			if text == "" {
				text = fmt.Sprintf("exit status %d", e.Status)
			}
			c.fault(0, "hook for "+h.Name+": "+text)
		}
		return true
	default:
		return false
	}
	delete(c.transfers, key{h.Direction, h.Transfer})
	return true
}

// moved takes note of what happens to a transfer on its way.
func (c *Collector) moved(h event.Head, e event.Event) {
	k := key{h.Direction, h.Transfer}
	t := c.transfers[k]
	if t == nil {
		t = &Transfer{State: Offered, Since: c.now()}
		c.transfers[k] = t
	}
	t.Head = h
	switch e := e.(type) {
	case event.Offer:
		t.State, t.Size, t.Bytes = Offered, e.Size, e.ResumedFrom
	case event.Accepted:
		t.State = Accepted
	case event.Negotiated:
		t.State, t.Path, t.from, t.begun = Running, path(e), t.Bytes, c.now()
	case event.Resumed:
		t.Bytes, t.from, t.begun = e.Offset, e.Offset, c.now()
	case event.Progress:
		if t.begun.IsZero() {
			t.from, t.begun = e.Bytes, c.now()
		}
		t.State, t.Bytes, t.Size, t.Rate = Running, e.Bytes, e.Size, e.Rate
	case event.Interrupted:
		t.State, t.Bytes, t.Rate, t.Path, t.Reason = Interrupted, e.Bytes, 0, "", e.Reason
	}
}

// path is how the bytes go, in one word.
func path(e event.Negotiated) string {
	switch {
	case e.Transport == "ibb":
		return "in-band"
	case e.Candidate == "proxy":
		return "proxy"
	case e.Way != "":
		return e.Way
	}
	return "direct"
}
