package transfer

import (
	"context"
	"errors"
	"testing"

	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/profile"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// agreeable acknowledges every iq.
type agreeable struct{}

func (agreeable) IQ(context.Context, jid.JID, stanza.IQType, *xmltree.Element) (*xmltree.Element, error) {
	return nil, nil
}

// TestReasoned: an action that fails because the peer has ended the session is
// told as the peer's reason, also when the bytestream's context does not know of
// the end yet.
func TestReasoned(t *testing.T) {
	romeo, juliet := jid.MustParse("romeo@jet.test/a"), jid.MustParse("juliet@jet.test/b")
	m := jingle.NewManager(jingle.Config{Port: agreeable{}, Self: func() jid.JID { return romeo }})
	defer m.Close(t.Context())
	s, err := m.Initiate(t.Context(), juliet, jingle.NewSID(), jingle.Content{
		Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderInitiator,
		Description: jingle.Description(&jingle.File{Size: 1}), Transport: xmltree.New(s5b.NS, "transport").Set("sid", "s"),
	})
	if err != nil {
		t.Fatal(err)
	}
	end := xmltree.New(jingle.NS, "jingle", jingle.Reason{Condition: jingle.ConnectivityError}.Element()).
		Set("action", string(jingle.SessionTerminate)).Set("sid", s.ID())
	if _, err := m.HandleIQ(t.Context(), stanza.IQ{From: juliet, To: romeo, ID: "1", Type: stanza.Set, Payload: end}); err != nil {
		t.Fatal(err)
	}
	err = s.Info(t.Context(), xmltree.New(profile.NS, "x"))
	if !errors.Is(err, jingle.ErrEnded) {
		t.Fatal(err)
	}
	c := unconnected().converse(t.Context(), event.Head{})
	c.Session = s
	if f := fault.New(c.Step(conversation.Needs{}, func(context.Context) error { return err }), false); f.Code != exitcode.Interrupted {
		t.Errorf("%v: code %d", f, f.Code)
	}
}
