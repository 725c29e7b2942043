package transfer

import (
	"context"
	"encoding/base64"
	"testing"

	"jetsend/internal/conversation"
	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/xmltree"
)

// The addresses of scripted sessions: romeo offers, juliet is offered to.
var (
	replayRomeo  = jid.MustParse("romeo@montague.lit/orchard")
	replayJuliet = jid.MustParse("juliet@capulet.lit/balcony")
)

const (
	replaySID = "851ba2"
)

// noDevices makes envelopes for nobody.
type noDevices struct{}

func (noDevices) WrapKey(context.Context, omemo.PEP, jid.JID, *crypto.Secret, omemo.Sessions) (*omemo.Envelope, error) {
	return &omemo.Envelope{}, nil
}

func (noDevices) WrapPayload(context.Context, omemo.PEP, jid.JID, []byte, omemo.Sessions) (*omemo.Envelope, error) {
	return &omemo.Envelope{}, nil
}

// offeredIn is the dialect of a session that was opened in that form with the offer.
func offeredIn(t *testing.T, f dialect.Form, o profile.Offer) dialect.Dialect {
	t.Helper()
	d := dialect.New(f, "", dialect.OtherClient)
	c := jingle.Content{
		Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderInitiator, Transport: xmltree.New("urn:t", "transport"),
	}
	if o.File == nil {
		o.File = &jingle.File{}
	}
	if _, err := d.Write(t.Context(), noDevices{}, nil, dialect.Terms{Offer: o, Limit: 1 << 40}, &c); err != nil {
		t.Fatal(err)
	}
	return d
}

// talkIn is a conversation over a session in such a dialect.
func talkIn(t *testing.T, s *jingle.Session, f dialect.Form) *conversation.Conversation {
	t.Helper()
	c := unconnected().converse(t.Context(), event.Head{})
	c.Session, c.Dialect = s, offeredIn(t, f, profile.Offer{})
	return c
}

// sealedIn is a dialect as it is when the envelope of an offer in our profile is open.
func sealedIn(t *testing.T, o profile.Offer) *conversation.Conversation {
	t.Helper()
	return &conversation.Conversation{Dialect: offeredIn(t, dialect.FormJetsend, o)}
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTakesPlaintext: an offer without an envelope is looked at when the user says so, from
// whom no key has to be verified; a request for a file of ours never is.
func TestTakesPlaintext(t *testing.T) {
	for _, tt := range []struct {
		opt     ReceiveOptions
		senders string
		want    bool
	}{
		{ReceiveOptions{Accept: policy.All}, jingle.SenderInitiator, false},
		{ReceiveOptions{Accept: policy.Verified, InsecurePlaintext: true}, jingle.SenderInitiator, false},
		{ReceiveOptions{Accept: policy.Contacts, InsecurePlaintext: true}, jingle.SenderInitiator, true},
		{ReceiveOptions{Accept: policy.Contacts, InsecurePlaintext: true}, jingle.SenderResponder, false},
	} {
		if got := (&terms{ReceiveOptions: tt.opt}).takesPlaintext(tt.senders); got != tt.want {
			t.Errorf("%+v from the %s: %t", tt.opt, tt.senders, got)
		}
	}
}
