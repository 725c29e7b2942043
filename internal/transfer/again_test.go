package transfer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// TestSendWhileServed: the same send while somebody of this account is at the
// transfer, a daemon that serves it or a run that pauses, does not send the file
// twice; --no-resume does.
func TestSendWhileServed(t *testing.T) {
	st, id := cutStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	h, err := st.romeo.journal.Begin(t.Context(), load(t, st.romeo, journal.Key{ID: id, Direction: journal.Send}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Release() }()
	for _, step := range []func() error{
		func() error { return nil }, // offered
		func() error { return h.Run(t.Context()) },
		func() error { return h.Interrupt(fault.ErrStreamLost) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, st.send(t, RetryOptions{}), exitcode.LocalFile)
		f, _ := last[event.Failed](&st.out)
		hinted := slices.ContainsFunc(f.Hints, func(s string) bool { return strings.Contains(s, "--no-resume") })
		if f.Transfer != id || !hinted || f.Resumable || !strings.Contains(f.Reason, "running in another process") {
			t.Errorf("%s: %+v", h.Row().State, f)
		}
	}
	if n := count[event.Offer](&st.out); n != 0 {
		t.Errorf("%d offers", n)
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	if s, _ := last[event.Sent](&st.out); s.Transfer != id {
		t.Errorf("another transfer went on: %s", s.Transfer)
	}
	st.arrived(t)
}

// TestSameFileTwice: a file that is named twice in one command is sent twice.
func TestSameFileTwice(t *testing.T) {
	st := setStage(t, 1000)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	err := st.romeo.Send(t.Context(), SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}, {Path: st.path}, {Path: st.path}}, Wait: time.Minute,
	})
	waitIdle(t, st.juliet)
	names := list(t, st.dir)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"f", "f (1)", "f (2)"}) {
		t.Errorf("%v arrived: %v", names, err)
	}
}

// TestPrekeyTaken: a sender that began an OMEMO session with a one-time prekey that was
// used up meanwhile, as when twenty begin at once, offers once more with another one.
func TestPrekeyTaken(t *testing.T) {
	st := setStage(t, 1000)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	ctx := t.Context()
	ts := crypto.NewSecret(crypto.AES128GCM)
	defer ts.Wipe()
	if _, err := st.romeo.omemo.WrapKey(ctx, st.romeo.sess, jid.MustParse("juliet@jet.test"), ts, omemo.Kept); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		`UPDATE prekeys SET id = id + 1000`,
		`UPDATE publication SET generation = generation + 1, next_prekey = next_prekey + 1000`,
	} {
		if _, err := st.juliet.db.ExecContext(ctx, query); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.juliet.omemo.KeepAnnounced(ctx, st.juliet.sess); err != nil {
		t.Fatal(err)
	}
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if n := count[event.Offer](&st.out); n != 2 {
		t.Errorf("%d offers", n)
	}
}
