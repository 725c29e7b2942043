package status

import (
	"fmt"
	"testing"
	"time"

	"jetsend/internal/event"
)

// clock goes on when it is told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// TestTransfer: what is told of a transfer on its way, and that its end takes it away.
func TestTransfer(t *testing.T) {
	at := &clock{time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	c := New(at.now)
	h := event.Head{Transfer: "1", Direction: event.Receive, Peer: "romeo@jet.test/r", Name: "a.iso"}
	want := func(state, path string, bytes, rate, mean int64) {
		t.Helper()
		s := c.Snapshot()
		if len(s.Transfers) != 1 {
			t.Fatalf("%d transfers", len(s.Transfers))
		}
		if got := s.Transfers[0]; got.State != state || got.Path != path || got.Bytes != bytes || got.Rate != rate || got.MeanRate != mean || got.Name != "a.iso" || got.Size != 100 {
			t.Errorf("%+v", got)
		}
	}
	changed := c.Changed()
	c.Event(event.Offer{Head: h, Size: 100, ResumedFrom: 10})
	select {
	case <-changed:
	default:
		t.Error("a change is not told")
	}
	want(Offered, "", 10, 0, 0)
	c.Event(event.Accepted{Head: h})
	want(Accepted, "", 10, 0, 0)
	c.Event(event.Negotiated{Head: h, Transport: "s5b", Candidate: "direct", Way: "punched"})
	at.at = at.at.Add(10 * time.Second)
	c.Event(event.Progress{Head: h, Bytes: 60, Size: 100, Rate: 7})
	want(Running, "punched", 60, 7, 5)
	c.Event(event.Interrupted{Head: h, Bytes: 60, Reason: "gone"})
	want(Interrupted, "", 60, 0, 0)
	c.Event(event.Negotiated{Head: h, Transport: "ibb"})
	c.Event(event.Resumed{Head: h, Offset: 40})
	want(Running, "in-band", 40, 0, 0)
	c.Event(event.Received{Head: h})
	if s := c.Snapshot(); len(s.Transfers) != 0 || len(s.Errors) != 0 {
		t.Errorf("%+v", s)
	}
	for e, word := range map[*event.Negotiated]string{
		{Transport: "s5b", Candidate: "direct"}: "direct", {Transport: "s5b", Candidate: "proxy"}: "proxy",
		{Transport: "s5b", Candidate: "direct", Way: "mapped"}: "mapped",
	} {
		if got := path(*e); got != word {
			t.Errorf("%+v is %s", e, got)
		}
	}
}

// TestErrors: the last ones are kept, and a no is none.
func TestErrors(t *testing.T) {
	c := New(time.Now)
	h := event.Head{Transfer: "1", Name: "a"}
	c.Event(event.Failed{Head: h, Code: 8, Reason: "declined", Declined: true})
	c.Event(event.Hook{Head: h})
	c.Event(event.Warning{Text: "w"})
	if s := c.Snapshot(); len(s.Errors) != 0 {
		t.Errorf("%+v", s.Errors)
	}
	c.Event(event.FailedEarly{Peer: "p", Code: 9, Reason: "no key"})
	c.Event(event.Hook{Head: h, Status: 3})
	if s := c.Snapshot(); len(s.Errors) != 2 || s.Errors[0].Text != "p: no key" || s.Errors[0].Code != 9 || s.Errors[1].Text != "hook for a: exit status 3" {
		t.Errorf("%+v", s.Errors)
	}
	for i := range 2 * MaxErrors {
		c.Event(event.Failed{Head: h, Code: 12, Reason: fmt.Sprint(i)})
	}
	if s := c.Snapshot(); len(s.Errors) != MaxErrors || s.Errors[MaxErrors-1].Text != fmt.Sprint("a: ", 2*MaxErrors-1) {
		t.Errorf("%+v", s.Errors)
	}
}

// TestConnection: a loss is one error, however many tries it takes.
func TestConnection(t *testing.T) {
	at := &clock{time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	c := New(at.now)
	c.Up()
	for range 3 {
		c.Down("timeout", time.Second, 5)
	}
	s := c.Snapshot()
	if s.Connection.State != Reconnecting || s.Connection.Reason != "timeout" || !s.Connection.NextTry.Equal(at.at.Add(time.Second)) || len(s.Errors) != 1 || s.Errors[0].Code != 5 {
		t.Errorf("%+v", s)
	}
	at.at = at.at.Add(time.Minute)
	c.Event(event.Online{})
	if s = c.Snapshot(); s.Connection.State != Online || !s.Connection.Since.Equal(at.at) || s.Connection.Reason != "" {
		t.Errorf("%+v", s)
	}
}

// TestMany: a set with thousands of files does not fill screens.
func TestMany(t *testing.T) {
	c := New(time.Now)
	for i := range MaxTransfers + 5 {
		c.Event(event.Offer{Head: event.Head{Transfer: fmt.Sprint(i)}})
	}
	c.Event(event.Negotiated{Head: event.Head{Transfer: "7"}})
	c.SetQueue([]Queued{{ID: "1", Why: "offline"}})
	if s := c.Snapshot(); len(s.Transfers) != MaxTransfers || s.More != 5 || s.Transfers[0].State != Running || len(s.Queue) != 1 {
		t.Errorf("%d, %d more, %+v, %v", len(s.Transfers), s.More, s.Transfers[0], s.Queue)
	}
}
