package fault

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/source"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
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
		{Reason(jingle.Decline, DetailTooBig), false, exitcode.Declined},
		{Reason(jingle.Decline, DetailPolicy), false, exitcode.Declined},
		{Reason(jingle.Decline, DetailNoSpace), false, exitcode.LocalFile},
		{Reason(jingle.Decline, DetailExists), false, exitcode.LocalFile},
	} {
		if got := Of(&Ended{Reason: tt.reason}).CodeAt(tt.started); got != tt.want {
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
		{ErrDrained, exitcode.Terminated, jingle.Expired},
		{fmt.Errorf("receive: %w", crypto.ErrAuthentication), exitcode.Integrity, jingle.SecurityError},
		{crypto.ErrTrailingData, exitcode.Integrity, jingle.SecurityError},
		{fmt.Errorf("read tag: %w", io.ErrUnexpectedEOF), exitcode.Interrupted, jingle.ConnectivityError},
		{stream.ErrIdle, exitcode.Interrupted, jingle.Timeout},
		{fmt.Errorf("begin: %w", jingle.ErrOutOfOrder), exitcode.Interrupted, jingle.ConnectivityError},
		{s5b.ErrNoCandidate, exitcode.Interrupted, jingle.ConnectivityError},
		{&source.Error{Err: source.ErrChanged}, exitcode.LocalFile, jingle.FailedApplication},
		{&stream.SinkError{Err: inbox.ErrNoSpace}, exitcode.LocalFile, jingle.FailedApplication},
		{&stream.SinkError{Err: inbox.ErrExists}, exitcode.LocalFile, jingle.FailedApplication},
		{ErrNoAnswer, exitcode.Declined, jingle.Cancel},
		{ErrSilent, exitcode.Interrupted, jingle.ConnectivityError},
		{fmt.Errorf("%w: %w", ErrInUse, &Ended{Reason: Reason(jingle.Busy, DetailConflict)}), exitcode.Interrupted, jingle.ConnectivityError},
		{ErrUnconfirmed, exitcode.Interrupted, jingle.ConnectivityError},
		{profile.ErrOffer, exitcode.Integrity, jingle.SecurityError},
		{profile.ErrSealed, exitcode.Integrity, jingle.SecurityError},
		{&omemo.TrustError{Kind: omemo.Changed}, exitcode.Untrusted, jingle.SecurityError},
		{omemo.ErrEnvelope, exitcode.Untrusted, jingle.SecurityError},
		{fmt.Errorf("offer: %w", &OfferError{Answer: stanza.NewError(stanza.NotAcceptable)}), exitcode.Untrusted, jingle.SecurityError},
		{&OfferError{Answer: stanza.NewError(stanza.ServiceUnavailable)}, exitcode.Offline, jingle.GeneralError},
		{stanza.NewError(stanza.NotAcceptable), exitcode.Interrupted, jingle.ConnectivityError},
		{io.ErrNoProgress, exitcode.Unexpected, jingle.GeneralError},
	} {
		f := New(tt.err, false)
		if f.Code != tt.code {
			t.Errorf("%v: code %d, want %d", tt.err, f.Code, tt.code)
		}
		if got := Of(tt.err).Reason(); got.Condition != tt.reason {
			t.Errorf("%v: reason %s, want %s", tt.err, got.Condition, tt.reason)
		}
	}
}

// TestForeignConditions: whatever condition another client, or a server, ends a session
// or refuses an offer with, it is no fault of our own to be reported; and its text is
// shown, cleaned.
func TestForeignConditions(t *testing.T) {
	for _, name := range []string{
		"alternative-session", "busy", "cancel", "connectivity-error", "decline", "expired", "failed-application", "failed-transport",
		"general-error", "gone", "incompatible-parameters", "media-error", "security-error", "success", "timeout",
		"unsupported-applications", "unsupported-transports", "failed_application", "of-their-own", "",
	} {
		x := xmltree.New(jingle.NS, "reason", xmltree.New(jingle.NS, "text").SetText("no\x1b[31m 'desc'"))
		if name != "" {
			x.Add(xmltree.New(jingle.NS, name))
		}
		for _, started := range []bool{false, true} {
			f := New(&Ended{Reason: jingle.ParseReason(x)}, started)
			if f.Code == exitcode.Unexpected || f.Code == exitcode.OK || !strings.Contains(f.Error(), "'desc'") || strings.Contains(f.Error(), "\x1b") {
				t.Errorf("%s, started %v: %d, %s", name, started, f.Code, f)
			}
		}
	}
	for _, name := range []string{
		"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error", "item-not-found", "jid-malformed",
		"not-acceptable", "not-allowed", "not-authorized", "payment-required", "policy-violation", "recipient-unavailable", "redirect", "registration-required",
		"remote-server-not-found", "remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
		"undefined-condition", "unexpected-request", "of-their-own",
	} {
		answer := stanza.NewError(name)
		answer.Text = "because"
		for _, err := range []error{&OfferError{Answer: answer}, answer} {
			if f := New(err, false); f.Code == exitcode.Unexpected || !strings.Contains(f.Error(), "because") {
				t.Errorf("%s: %d, %s", name, f.Code, f)
			}
		}
	}
}
