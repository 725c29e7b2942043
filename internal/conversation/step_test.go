package conversation

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// alone is an account that is always online, and answers everything.
type alone struct{}

func (alone) Done() <-chan struct{}            { return nil }
func (alone) Lost() <-chan struct{}            { return nil }
func (alone) WaitOnline(context.Context) error { return nil }

func (alone) IQ(context.Context, jid.JID, stanza.IQType, *xmltree.Element) (*xmltree.Element, error) {
	return nil, nil
}

// offered is a conversation about what a contact offers and nobody has read yet, and how
// the contact says something in its session.
func offered(t *testing.T) (*Conversation, func(jingle.Action, ...*xmltree.Element)) {
	t.Helper()
	juliet, romeo := jid.MustParse("juliet@jet.test/b"), jid.MustParse("romeo@jet.test/a")
	var s *jingle.Session
	m := jingle.NewManager(jingle.Config{Port: alone{}, Self: func() jid.JID { return juliet }, Admit: func(jid.JID, *jingle.Content) (func(*jingle.Session), *stanza.Error) {
		return func(taken *jingle.Session) { s = taken }, nil
	}})
	t.Cleanup(func() { m.Close(context.Background()) })
	says := func(a jingle.Action, children ...*xmltree.Element) {
		x := xmltree.New(jingle.NS, "jingle", children...).Set("action", string(a)).Set("sid", "s").Set("initiator", romeo.String())
		_, _ = m.HandleIQ(context.Background(), stanza.IQ{From: romeo, To: juliet, ID: "1", Type: stanza.Set, Payload: x})
	}
	says(jingle.SessionInitiate, jingle.Content{
		Creator: jingle.SenderInitiator, Name: "file", Senders: jingle.SenderInitiator,
		Description: jingle.Description(&jingle.File{Size: 1}), Transport: xmltree.New("urn:xmpp:jingle:transports:s5b:1", "transport").Set("sid", "x"),
	}.Element())
	if s == nil {
		t.Fatal("not offered")
	}
	c := New(t.Context(), World{
		Account: alone{}, Timing: Timing{Reason: time.Second, Watch: time.Second}, Back: func() *time.Time { return nil },
		Report: func(event.Event) {}, Log: slog.New(slog.DiscardHandler),
	}, event.Head{})
	c.Session = s
	return c, says
}

// untilEnd is a step that waits for the end of its context.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestTooMuchSaid: a contact who says more than there is to say before its offer is read
// ends its session, and nothing else.
func TestTooMuchSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, says := offered(t)
		much := xmltree.New(jingle.NSFile, "received")
		for range 2000 {
			much.Add(xmltree.New(jingle.NSFile, "x"))
		}
		says(jingle.SessionInfo, much)
		if err := c.Step(Needs{Server: true}, untilEnd); !errors.Is(err, fault.ErrEnded) {
			t.Error(err)
		}
		c.Close()
	})
}

// TestEndWhileRead: the contact may end the session, with a detail, while its envelope is
// being opened.
func TestEndWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, says := offered(t)
		err := c.Step(Needs{Server: true}, func(ctx context.Context) error {
			says(jingle.SessionTerminate, fault.Reason(jingle.Cancel, fault.DetailPaused).Element())
			return untilEnd(ctx)
		})
		k := fault.Of(err)
		if !k.Said(jingle.Cancel) || k.Proven() {
			t.Error(err)
		}
		c.Close()
	})
}

// TestNoSessionToExplain: what fails before there is a session is not explained by one.
func TestNoSessionToExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := offered(t)
		c.Session = nil
		begun := time.Now()
		if err := c.Step(Needs{}, func(context.Context) error { return fault.ErrEnded }); !errors.Is(err, fault.ErrEnded) || time.Since(begun) > 0 {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}
