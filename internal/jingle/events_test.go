package jingle

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/xmltree"
)

// The actions of a peer are heard in their order, also those right before the end;
// the end is the last event.
func TestEventsInOrder(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := pending(t, a, b)
	info := xmltree.New(NSFile, "received")
	end := Reason{Condition: Success, Text: "bye"}
	answer := content()
	answer.Creator, answer.Senders = SenderInitiator, SenderInitiator
	want := []Event{
		{Action: TransportInfo, Payload: transport("early")},
		{Action: SessionAccept, Content: &answer},
		{Action: SessionInfo, Payload: info},
		{Action: SessionInfo, Payload: xmltree.New(NSJetsend, "sealed")},
		{Action: TransportInfo, Payload: transport("two")},
		{Action: SessionInfo, Payload: info},
		{Action: SessionTerminate, Reason: end, ByPeer: true},
	}
	for _, step := range []error{
		r.TransportInfo(t.Context(), transport("early")),
		r.Accept(t.Context(), answer),
		say(a, juliet, SessionInfo, s.ID(), info, xmltree.New(NSJetsend, "sealed")), // two at once
		r.TransportInfo(t.Context(), transport("two")),
		r.Info(t.Context(), info),
		r.Terminate(t.Context(), end),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	var got []Event
	for ev := range s.Events() {
		got = append(got, ev)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// Our own end is heard, too.
	if d := cmp.Diff(Event{Action: SessionTerminate, Reason: end}, await(t, r.Events())); d != "" {
		t.Error(d)
	}
	if ev, open := <-r.Events(); open {
		t.Errorf("after the end: %+v", ev)
	}
}

// Whoever ends the session, and whenever: what is heard is what the peer said, in its
// order, and the end once.
func TestEventsUntilTheEnd(t *testing.T) {
	for range 50 {
		a, b := newPair(t, nil)
		s, r := active(t, a, b)
		said := 0
		var both sync.WaitGroup
		both.Go(func() {
			for said < maxUnread/2 && r.Info(context.Background(), xmltree.New(NSJetsend, fmt.Sprint("x", said))) == nil {
				said++
			}
			_ = r.Terminate(context.Background(), Reason{Condition: Success})
		})
		both.Go(func() {
			for range maxUnread / 4 {
				_ = s.Info(context.Background(), nil)
			}
			_ = s.Terminate(context.Background(), Reason{Condition: Cancel})
		})
		n, ends := 0, 0
		for ev := range s.Events() {
			switch {
			case ev.Action == SessionTerminate:
				ends++
			case ends > 0 || ev.Payload.Name.Local != fmt.Sprint("x", n):
				t.Fatalf("%d: %+v", n, ev)
			default:
				n++
			}
		}
		both.Wait()
		if n < said || ends != 1 { // one more may have come whose acknowledgement the end cut off
			t.Errorf("heard %d of %d, %d ends", n, said, ends)
		}
	}
}

// There is always place for the accept and the end.
func TestEventsFull(t *testing.T) {
	a, b := newPair(t, nil)
	s, _ := pending(t, a, b)
	for range maxUnread {
		wantError(t, say(a, juliet, SessionInfo, s.ID(), xmltree.New(NSJetsend, "x")), "", "")
	}
	wantError(t, say(a, juliet, SessionAccept, s.ID(), content().Element()), "", "")
	wantError(t, say(a, juliet, SessionTerminate, s.ID(), Reason{Condition: Success}.Element()), "", "")
	var got []Action
	for ev := range s.Events() {
		got = append(got, ev.Action)
	}
	if n := len(got); n != maxUnread+2 || got[n-2] != SessionAccept || got[n-1] != SessionTerminate {
		t.Errorf("%d events: %v", n, got)
	}
}
