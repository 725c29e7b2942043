package transfer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestDoctorLeavesNoTrace: neither a dry run nor a diagnosis sends anything to
// the contact's client but questions what it is, begins a session, learns a key
// or writes into the journal.
func TestDoctorLeavesNoTrace(t *testing.T) {
	s := prosody(t)
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, tap.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
	to := jid.MustParse("juliet@jet.test")
	opt := SendOptions{To: to, Files: []Source{{Path: testFile(t, "text")}}, Wait: time.Minute}

	plans, err := romeo.DryRun(t.Context(), opt)
	if err != nil || len(plans) != 1 || plans[0].To != juliet.JID().String() || plans[0].Devices[0].Fingerprint != juliet.OMEMO().Fingerprint() {
		t.Fatalf("%+v %v", plans, err)
	}
	asked := toClient(t, tap, juliet.JID())
	if len(asked) == 0 {
		t.Error("nothing was asked")
	}
	for _, ns := range asked {
		if ns != "http://jabber.org/protocol/disco#info" {
			t.Errorf("a dry run asks %s", ns)
		}
	}
	var all []Finding
	if plan, err := romeo.Diagnose(t.Context(), opt, func(f Finding) { all = append(all, f) }); err != nil || plan.Form != NS {
		t.Fatalf("%+v %v", plan, err)
	}
	for _, ns := range toClient(t, tap, juliet.JID()) {
		if ns != "http://jabber.org/protocol/disco#info" && ns != nsVersion {
			t.Errorf("a diagnosis asks %s", ns)
		}
	}
	for _, f := range all {
		if f.Status == StatusFail || f.Code != 0 || f.Text == "" {
			t.Errorf("%+v", f)
		}
	}
	if known, err := romeo.OMEMO().Devices(t.Context(), to); err != nil || len(known) > 0 {
		t.Errorf("devices known now: %+v %v", known, err)
	}
	if rows, err := romeo.journal.List(t.Context(), journal.Filter{}); err != nil || len(rows) > 0 {
		t.Errorf("rows: %+v %v", rows, err)
	}
	if waiting, err := juliet.OMEMO().NeedsAnnounce(t.Context()); err != nil || waiting {
		t.Errorf("a prekey was used: %v %v", waiting, err)
	}
}

// toClient are the payloads of what went to a client, by name space.
func toClient(t *testing.T, tap *xmpptest.Tap, full jid.JID) (spaces []string) {
	t.Helper()
	for _, st := range tap.Stanzas() {
		if st.Dir != xmpptest.ToServer || !contains(st.Raw, full.String()) {
			continue
		}
		x, err := xmltree.Parse(st.Raw)
		if err != nil || x.Name.Local != "iq" || x.Attr("type") != "get" || len(x.Children) != 1 {
			t.Errorf("sent %s", st.Raw)
			continue
		}
		spaces = append(spaces, x.Children[0].Name.Space)
	}
	return spaces
}

// TestDryRunOfInterrupted: a plan names the transfer that it would go on with,
// and the journal is as before.
func TestDryRunOfInterrupted(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []Source{{Path: testFile(t, "some text")}}, Wait: time.Minute}
	src, err := openSource(t.Context(), opt.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer closeSources([]*source{src})
	o := romeo.outgoing(opt, src)
	o.form = formJetsend
	h, err := romeo.journal.Begin(t.Context(), o.rowOf())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Run(t.Context()), h.Progress(t.Context(), 4), h.Interrupt(t.Context(), errStreamLost), h.Release(t.Context())); err != nil {
		t.Fatal(err)
	}
	plans, err := romeo.DryRun(t.Context(), opt)
	if err != nil || plans[0].File.Transfer != o.head.Transfer || plans[0].File.ResumedFrom != 4 {
		t.Errorf("%+v %v", plans, err)
	}
	opt.NoResume = true
	if plans, err = romeo.DryRun(t.Context(), opt); err != nil || plans[0].File.Transfer != "" {
		t.Errorf("anew: %+v %v", plans, err)
	}
	var found []Finding
	if _, err := romeo.Diagnose(t.Context(), opt, func(f Finding) { found = append(found, f) }); err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if d, ok := f.Details.(InterruptedDetails); ok && d.Transfer == o.head.Transfer && d.Bytes == 4 && d.Resumable && strings.Contains(f.Hints[0], "jetsend resume "+o.head.Transfer[:8]) {
			return
		}
	}
	t.Errorf("not told of: %+v", found)
}

// TestDryRunFails ends as Send does before the contact's answer.
func TestDryRunFails(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	file := []Source{{Path: testFile(t, "text")}}
	for name, tt := range map[string]struct {
		opt  SendOptions
		code exitcode.Code
	}{
		"offline":     {SendOptions{To: jid.MustParse("juliet@jet.test"), Files: file}, exitcode.Offline},
		"no resource": {SendOptions{To: jid.MustParse("juliet@jet.test/none"), Files: file}, exitcode.Offline},
		"no file":     {SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []Source{{Path: "/nonexistent"}}}, exitcode.LocalFile},
		"description": {SendOptions{To: jid.MustParse("juliet@jet.test"), Files: file, Description: strings.Repeat("x", maxDescription+1)}, exitcode.Usage},
		"quotes":      {SendOptions{To: jid.MustParse("juliet@jet.test"), Files: file, Description: strings.Repeat("\"\n", maxDescription/8)}, exitcode.Usage},
		"name":        {SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []Source{{Path: file[0].Path, Name: strings.Repeat("x", maxGivenName+1)}}}, exitcode.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			var dry, real *Failure
			if _, err := romeo.DryRun(t.Context(), tt.opt); !errors.As(err, &dry) {
				t.Fatal(err)
			}
			if err := romeo.Send(t.Context(), tt.opt); !errors.As(err, &real) {
				t.Fatal(err)
			}
			if dry.Code != tt.code || dry.Code != real.Code || dry.Error() != real.Error() {
				t.Errorf("dry %d %v, real %d %v", dry.Code, dry, real.Code, real)
			}
		})
	}
}

// TestDiagnoseCancelled ends with the cause.
func TestDiagnoseCancelled(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	var f *Failure
	_, err := romeo.Diagnose(ctx, SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Hour}, func(f Finding) {
		if f.Check == "subscription" {
			cancel(ErrInterrupted)
		}
	})
	if !errors.As(err, &f) || f.Code != exitcode.Cancelled {
		t.Errorf("%v", err)
	}
}
