package jingle

import (
	"context"
	"strings"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

func TestInitiatorResponderAttributes(t *testing.T) {
	const file = `<description xmlns='` + NSFile + `'><file/></description><transport xmlns='urn:t'/>`
	for _, tt := range []struct {
		attrs string
		ok    bool
	}{
		{``, true},
		{`initiator='romeo@montague.lit/orchard'`, true},
		{`initiator='Romeo@Montague.LIT/orchard' responder='juliet@capulet.lit/balcony'`, true},
		{`initiator='romeo@montague.lit'`, false},
		{`initiator='romeo@montague.lit/garden'`, false},
		{`initiator='mallet@example.org/cave'`, false},
		{`initiator='@'`, false},
		{`responder='mallet@example.org/cave'`, false},
	} {
		t.Run(tt.attrs, func(t *testing.T) {
			_, b := newPair(t, nil)
			e := parse(t, `<jingle xmlns='`+NS+`' action='session-initiate' sid='s' `+tt.attrs+`><content creator='initiator' name='n'>`+file+`</content></jingle>`)
			_, err := b.receive(t.Context(), stanza.IQ{From: romeo, To: juliet, Type: stanza.Set, Payload: e})
			if tt.ok {
				wantError(t, err, "", "")
				if got := await(t, b.offers).Content().Senders; got != SenderInitiator {
					t.Errorf("senders %q", got)
				}
				return
			}
			wantError(t, err, stanza.BadRequest, "")
			if len(b.offers) != 0 {
				t.Error("offered")
			}
		})
	}
	// In a running session: ignored, but an accept by somebody else ends it.
	a, b := newPair(t, nil)
	s, _ := pending(t, a, b)
	lie := func(action Action, attr string) error {
		e := xmltree.New(NS, "jingle", content().Element()).Set("action", string(action)).Set("sid", s.ID()).Set(attr, mallet.String())
		_, err := a.receive(t.Context(), stanza.IQ{From: juliet, To: romeo, Type: stanza.Set, Payload: e})
		return err
	}
	wantError(t, lie(TransportInfo, "initiator"), stanza.BadRequest, "")
	wantError(t, lie(SessionTerminate, "initiator"), stanza.BadRequest, "")
	if s.State() != Pending {
		t.Errorf("state %s", s.State())
	}
	wantError(t, lie(SessionAccept, "responder"), stanza.BadRequest, "")
	wantEnd(t, s, IncompatibleParameters, false)
}

func TestOffersRefused(t *testing.T) {
	const d, tr = `<description xmlns='` + NSFile + `'><file/></description>`, `<transport xmlns='urn:t'/>`
	offer := func(sid, contents string) string {
		return `<jingle xmlns='` + NS + `' action='session-initiate' sid='` + sid + `'>` + contents + `</jingle>`
	}
	one := `<content creator='initiator' name='n'>` + d + tr + `</content>`
	for _, tt := range []struct{ name, xml, condition string }{
		{"no content", offer("s", ``), stanza.BadRequest},
		{"two contents", offer("s", one+one), stanza.FeatureNotImplemented},
		{"no name", offer("s", `<content creator='initiator'>`+d+tr+`</content>`), stanza.BadRequest},
		{"the responder's", offer("s", `<content creator='responder' name='n'>`+d+tr+`</content>`), stanza.BadRequest},
		{"nobody's", offer("s", `<content creator='me' name='n'>`+d+tr+`</content>`), stanza.BadRequest},
		{"no description", offer("s", `<content creator='initiator' name='n'>`+tr+`</content>`), stanza.BadRequest},
		{"no transport", offer("s", `<content creator='initiator' name='n'>`+d+`</content>`), stanza.BadRequest},
		{"two descriptions", offer("s", `<content creator='initiator' name='n'>`+d+d+tr+`</content>`), stanza.BadRequest},
		{"two securities", offer("s", `<content creator='initiator' name='n'>`+d+tr+`<security xmlns='urn:a'/><security xmlns='urn:b'/></content>`), stanza.BadRequest},
		{"odd senders", offer("s", `<content creator='initiator' name='n' senders='all'>`+d+tr+`</content>`), stanza.BadRequest},
		{"early session", offer("s", `<content creator='initiator' name='n' disposition='early-session'>`+d+tr+`</content>`), stanza.BadRequest},
		{"no sid", offer("", one), stanza.BadRequest},
		{"long sid", offer(strings.Repeat("s", maxSID+1), one), stanza.BadRequest},
		{"heavy", offer("s", `<content creator='initiator' name='n'>`+d+tr+strings.Repeat(`<x/>`, maxOffer/100)+`</content>`), stanza.ResourceConstraint},
		{"no action", `<jingle xmlns='` + NS + `' sid='s'/>`, stanza.BadRequest},
		{"unknown action", `<jingle xmlns='` + NS + `' action='session-hello' sid='s'/>`, stanza.BadRequest},
		{"another element", `<query xmlns='` + NS + `' action='session-initiate' sid='s'>` + one + `</query>`, stanza.BadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, b := newPair(t, nil)
			_, err := b.receive(t.Context(), stanza.IQ{From: romeo, To: juliet, Type: stanza.Set, Payload: parse(t, tt.xml)})
			wantError(t, err, tt.condition, "")
			if len(b.offers) != 0 {
				t.Error("offered")
			}
		})
	}
	_, b := newPair(t, nil)
	for _, iq := range []stanza.IQ{
		{From: romeo, Type: stanza.Get, Payload: parse(t, offer("s", one))},
		{From: romeo, Type: stanza.Set},
		{Type: stanza.Set, Payload: parse(t, offer("s", one))},
	} {
		_, err := b.receive(t.Context(), iq)
		wantError(t, err, stanza.BadRequest, "")
	}
	_, b = newPair(t, func(c *Config) { c.OnOffer = nil })
	wantError(t, say(b, romeo, SessionInitiate, "s", content().Element()), stanza.ServiceUnavailable, "")
}

func TestLimits(t *testing.T) {
	_, b := newPair(t, func(c *Config) { c.MaxSessions, c.MaxPerContact = 4, 2 })
	open := func(from jid.JID) error { return say(b, from, SessionInitiate, NewSID(), content().Element()) }
	other, err := romeo.WithResource("garden")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, open(romeo), "", "")
	wantError(t, open(other), "", "")
	wantError(t, open(romeo), stanza.ResourceConstraint, "")
	wantError(t, open(mallet), "", "")
	wantError(t, open(mallet), "", "")
	wantError(t, open(jid.MustParse("a@b/c")), stanza.ResourceConstraint, "")
	s := await(t, b.offers)
	if err := s.Terminate(t.Context(), Reason{Condition: Decline}); err != nil {
		t.Fatal(err)
	}
	wantError(t, open(romeo), "", "")
}

func TestAdmit(t *testing.T) {
	var offers int
	var take func(*Session)
	stranger := func(from jid.JID, offer *Content) (func(*Session), *stanza.Error) {
		if offer != nil {
			offers++
		}
		if from == mallet {
			return nil, stanza.NewError(stanza.ServiceUnavailable)
		}
		return take, nil
	}
	_, b := newPair(t, func(c *Config) { c.Admit = stranger })
	// To a stranger everything looks the same, whether it makes sense or not.
	for _, err := range []error{
		say(b, mallet, SessionInitiate, "s", content().Element()),
		say(b, mallet, SessionInitiate, "s"),
		say(b, mallet, SessionTerminate, "s"),
		say(b, mallet, "nonsense", ""),
	} {
		wantError(t, err, stanza.ServiceUnavailable, "")
	}
	wantError(t, say(b, romeo, SessionTerminate, "s"), stanza.ItemNotFound, "unknown-session")
	wantError(t, say(b, romeo, SessionInitiate, "s", content().Element()), "", "")
	if offers != 2 || len(b.offers) != 1 {
		t.Errorf("%d offers shown, %d made", offers, len(b.offers))
	}
	// The function that admits an offer may take it.
	var taken *Session
	take = func(s *Session) { taken = s }
	wantError(t, say(b, romeo, SessionInitiate, "t", content().Element()), "", "")
	if taken == nil || taken.ID() != "t" || len(b.offers) != 1 {
		t.Errorf("taken %v, %d given to OnOffer", taken, len(b.offers))
	}
}

func TestDuplicateInitiate(t *testing.T) {
	a, b := newPair(t, nil)
	s, r := pending(t, a, b)
	wantError(t, say(b, romeo, SessionInitiate, s.ID(), content().Element()), stanza.UnexpectedRequest, "out-of-order")
	wantError(t, say(a, juliet, SessionInitiate, s.ID(), content().Element()), stanza.UnexpectedRequest, "out-of-order")
	if len(b.offers) != 0 || r.State() != Pending {
		t.Error("second session of one id")
	}
	// Of another peer it is another session.
	wantError(t, say(b, mallet, SessionInitiate, s.ID(), content().Element()), "", "")
	if x := await(t, b.offers); x.Peer() != mallet {
		t.Errorf("peer %s", x.Peer())
	}
}

// Both open a session of the same id at once: the lower address overrules
// (juliet sorts before romeo). Different ids are two transfers.
func TestInitiateGlare(t *testing.T) {
	a, b := newPair(t, nil)
	crossed := false
	a.setHook(func(context.Context, *xmltree.Element) (bool, error) {
		if crossed {
			return false, nil
		}
		crossed = true // before romeo's offer gets through, juliet makes hers
		if _, err := b.m.Initiate(context.Background(), romeo, "same", content()); err != nil {
			t.Error(err)
		}
		return false, nil
	})
	s, err := a.m.Initiate(t.Context(), juliet, "same", content())
	if err != nil {
		t.Fatal(err)
	}
	wantEnd(t, s, AlternativeSession, true)
	if x := await(t, a.offers); x.State() != Pending || x.Initiator() {
		t.Errorf("the other: %s", x.State())
	}

	_, b = newPair(t, nil)
	crossed = false
	b.setHook(func(_ context.Context, e *xmltree.Element) (bool, error) {
		if crossed {
			return false, nil
		}
		crossed = true
		err := say(b, romeo, SessionInitiate, "same", content().Element())
		wantError(t, err, stanza.Conflict, "tie-break")
		return false, nil
	})
	if s, err = b.m.Initiate(t.Context(), romeo, "same", content()); err != nil || s.State() != Pending {
		t.Errorf("the lower address's: %v", err)
	}

	a, b = newPair(t, nil)
	s1, _ := pending(t, a, b)
	s2, _ := pending(t, b, a)
	if s1.State() != Pending || s2.State() != Pending {
		t.Errorf("different ids: %s, %s", s1.State(), s2.State())
	}
}
