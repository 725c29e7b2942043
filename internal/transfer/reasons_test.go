package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// TestCodeOfReason is the table of the design's section 3, row by row.
func TestCodeOfReason(t *testing.T) {
	for _, tt := range []struct {
		reason  jingle.Reason
		started bool
		want    exitcode.Code
	}{
		{jingle.Reason{Condition: jingle.Decline}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Cancel}, true, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Busy}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Gone}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.UnsupportedApplications}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.UnsupportedTransports}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.IncompatibleParameters}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.SecurityError}, false, exitcode.Untrusted},
		{jingle.Reason{Condition: jingle.SecurityError}, true, exitcode.Integrity},
		{jingle.Reason{Condition: jingle.ConnectivityError}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.FailedTransport}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.Timeout}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.Expired}, true, exitcode.Interrupted},
		{jingle.Reason{Condition: jingle.FailedApplication}, true, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.FailedApplication}, false, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.MediaError}, true, exitcode.Incapable},
		{jingle.Reason{Condition: jingle.GeneralError}, true, exitcode.Declined},
		{jingle.Reason{Condition: jingle.GeneralError}, false, exitcode.Declined},
		{jingle.Reason{Condition: jingle.Success}, true, exitcode.Integrity},
		{declined(detailTooBig), false, exitcode.Declined},
		{declined(detailPolicy), false, exitcode.Declined},
		{declined(detailNoSpace), false, exitcode.LocalFile},
		{declined(detailExists), false, exitcode.LocalFile},
	} {
		if got := codeOfReason(tt.reason, tt.started); got != tt.want {
			t.Errorf("%v started=%v: %d, want %d", tt.reason, tt.started, got, tt.want)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   exitcode.Code
		reason string
	}{
		{ErrInterrupted, exitcode.Cancelled, jingle.Cancel},
		{ErrTerminated, exitcode.Terminated, jingle.Cancel},
		{errDrained, exitcode.Terminated, jingle.Expired},
		{fmt.Errorf("receive: %w", crypto.ErrAuthentication), exitcode.Integrity, jingle.SecurityError},
		{crypto.ErrTrailingData, exitcode.Integrity, jingle.SecurityError},
		{fmt.Errorf("read tag: %w", io.ErrUnexpectedEOF), exitcode.Interrupted, jingle.ConnectivityError},
		{errIdle, exitcode.Interrupted, jingle.Timeout},
		{fmt.Errorf("begin: %w", jingle.ErrOutOfOrder), exitcode.Interrupted, jingle.ConnectivityError},
		{s5b.ErrNoCandidate, exitcode.Interrupted, jingle.ConnectivityError},
		{&sourceError{Err: errSourceChanged}, exitcode.LocalFile, jingle.FailedApplication},
		{&sinkError{Err: inbox.ErrNoSpace}, exitcode.LocalFile, jingle.FailedApplication},
		{&sinkError{Err: inbox.ErrExists}, exitcode.LocalFile, jingle.FailedApplication},
		{errNoAnswer, exitcode.Declined, jingle.Cancel},
		{errSilent, exitcode.Interrupted, jingle.ConnectivityError},
		{fmt.Errorf("%w: %w", errInUse, &endedByPeer{Reason: detailed(jingle.Busy, detailConflict)}), exitcode.Interrupted, jingle.ConnectivityError},
		{errUnconfirmed, exitcode.Interrupted, jingle.ConnectivityError},
		{errOffer, exitcode.Integrity, jingle.SecurityError},
		{errSealed, exitcode.Integrity, jingle.SecurityError},
		{&omemo.TrustError{Kind: omemo.Changed}, exitcode.Untrusted, jingle.SecurityError},
		{omemo.ErrEnvelope, exitcode.Untrusted, jingle.SecurityError},
		{fmt.Errorf("offer: %w", &offerRefused{Answer: stanza.NewError(stanza.NotAcceptable)}), exitcode.Untrusted, jingle.SecurityError},
		{&offerRefused{Answer: stanza.NewError(stanza.ServiceUnavailable)}, exitcode.Offline, jingle.GeneralError},
		{stanza.NewError(stanza.NotAcceptable), exitcode.Interrupted, jingle.ConnectivityError},
		{io.ErrNoProgress, exitcode.Unexpected, jingle.GeneralError},
	} {
		f := failureOf(tt.err, false)
		if f.Code != tt.code {
			t.Errorf("%v: code %d, want %d", tt.err, f.Code, tt.code)
		}
		if got := reasonFor(tt.err); got.Condition != tt.reason {
			t.Errorf("%v: reason %s, want %s", tt.err, got.Condition, tt.reason)
		}
	}
}

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
		Creator: jingle.SenderInitiator, Name: contentName, Senders: jingle.SenderInitiator,
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
	err = s.Info(t.Context(), xmltree.New(NS, "x"))
	if !errors.Is(err, jingle.ErrEnded) {
		t.Fatal(err)
	}
	c := unconnected().converseIn(t.Context(), Head{})
	c.sess = s
	if f := failureOf(c.step(needs{}, func(context.Context) error { return err }), false); f.Code != exitcode.Interrupted {
		t.Errorf("%v: code %d", f, f.Code)
	}
}
