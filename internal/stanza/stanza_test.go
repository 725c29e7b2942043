package stanza

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/jid"
)

func TestErrorRoundTrip(t *testing.T) {
	e := NewError(UnexpectedRequest).WithApp("urn:xmpp:jingle:errors:1", "out-of-order")
	e.Text = "no <b>"
	got := ParseError(e.Element("jabber:client"), jid.JID{})
	if d := cmp.Diff(e, got, cmp.Comparer(func(a, b jid.JID) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if got := ParseError(nil, jid.JID{}); got.Condition != "undefined-condition" {
		t.Errorf("nil: %v", got)
	}
}
