package transfer

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestContactAway: after an interruption the contact's jetsend is gone for a while,
// and only another client of theirs is online, which takes no offer of ours. The
// run waits for the jetsend instead of ending.
func TestContactAway(t *testing.T) {
	s := prosody(t)
	hash := regexp.MustCompile(` ver=['"][^'"]+['"]`) // or what is known of that hash is taken
	profile := regexp.MustCompile(`var=['"]` + profile.NS + `['"]`)
	tap := xmpptest.StartTap(t, s, func(_ xmpptest.Direction, raw []byte) [][]byte {
		raw = profile.ReplaceAll(raw, []byte("var='other'"))
		if bytes.HasPrefix(raw, []byte("<presence")) {
			raw = hash.ReplaceAll(raw, []byte(" ver='AAAAAAAAAAAAAAAAAAAAAAAAAAA='"))
		}
		return [][]byte{raw}
	})
	st := &stage{server: s}
	st.have(t, bytes.Repeat([]byte("something "), 200_000))
	state := t.TempDir()
	st.romeo = online(t, s, s.Addr, "romeo", false, st.out.report)
	st.juliet = onlineIn(t, state, s, s.Addr, "juliet", true, st.in.report)
	st.through(t, xmpptest.CutAt(1<<20))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- st.juliet.Receive(ctx, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts}) }()
	sent := make(chan error, 1)
	go func() { sent <- st.send(t, RetryOptions{Retries: 5, For: time.Minute}) }()
	eventually(t, func() bool { return count[event.Interrupted](&st.out) > 0 })
	cancel(fault.ErrTerminated)
	stopped(t, ended)
	if err := st.juliet.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	chat := online(t, s, tap.Addr, "juliet", true, nil) // what it has of us is as in other clients
	receiving(t, chat, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	select {
	case err := <-sent:
		t.Fatalf("the run ended: %v", err)
	case <-time.After(4 * time.Second): // more than the first pause
	}
	st.juliet = onlineIn(t, state, s, s.Addr, "juliet", true, st.in.report)
	t.Cleanup(func() {
		if err := st.juliet.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	st.through(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if r, ok := last[event.Resumed](&st.out); !ok || r.Offset < 1<<19 {
		t.Errorf("%+v", r)
	}
}

// TestAwayTooLong: a contact who does not come back in time leaves the transfer
// interrupted, not failed for another reason.
func TestAwayTooLong(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	o := romeo.offering(SendOptions{To: jid.MustParse("juliet@jet.test")}, &source.Source{}, nil)
	o.life, o.form, o.marked, o.accepted = t.Context(), dialect.FormJetsend, true, true
	o.row = &journal.Handle{}
	_, err := o.findAgain(time.Second)
	if !fault.Of(err).Retryable(o.standing()) {
		t.Errorf("not tried again: %v", err)
	}
	if code := fault.Of(err).CodeAt(true); code != exitcode.Interrupted {
		t.Errorf("code %d: %v", code, err)
	}
}

// TestTakenUpElsewhere: while a run asks for the rest of a file, the contact's own
// session brings it to another process. That is the end of the run as well, and a
// good one.
func TestTakenUpElsewhere(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	failed, _ := last[event.Failed](&st.out)
	key := journal.Key{ID: failed.Transfer, Direction: journal.Receive}

	// The sender holds its row, as if it were about to go on.
	row, err := st.romeo.journal.Load(t.Context(), journal.Key{ID: key.ID, Direction: journal.Send})
	if err != nil {
		t.Fatal(err)
	}
	h, err := st.romeo.journal.Begin(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	st.in.reset()
	resumed := make(chan error, 1)
	go func() {
		resumed <- st.juliet.Resume(t.Context(), ResumeOptions{
			Transfers: []journal.Key{key}, Named: true, Wait: time.Minute, Retry: RetryOptions{Retries: 5, For: time.Minute},
		})
	}()
	eventually(t, func() bool { return count[event.Interrupted](&st.in) > 0 }) // answered with conflict
	if err := errors.Join(h.Interrupt(fault.ErrRunning), h.Release()); err != nil {
		t.Fatal(err)
	}
	st.through(t)
	if err := st.send(t, RetryOptions{Retries: 3, For: time.Minute}); err != nil {
		var f *fault.Failure
		if !errors.As(err, &f) || f.Code != exitcode.LocalFile { // the request may have been first
			t.Fatal(err)
		}
	}
	if err := <-resumed; err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	stop()
}

// TestOneOfManyServes: the contact has several jetsends online, and only one of them
// has the file. The others decline, or cannot read what they are asked, as devices
// that joined the account a moment ago or that are distrusted.
func TestOneOfManyServes(t *testing.T) {
	for name, distrusted := range map[string]bool{"declined": false, "unread": true} {
		t.Run(name, func(t *testing.T) {
			st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
			receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
			wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
			waitIdle(t, st.juliet)
			failed, _ := last[event.Failed](&st.out)
			st.through(t)
			receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
			var others []*Endpoint
			for range 3 { // so that chance does not find the right one
				other := online(t, st.server, st.server.Addr, "romeo", true, nil)
				receiving(t, other, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
				others = append(others, other)
			}
			romeo := jid.MustParse("romeo@jet.test")
			eventually(t, func() bool {
				peers, err := st.juliet.servants(t.Context(), romeo, time.Minute)
				return err == nil && len(peers) == 4
			})
			if distrusted {
				eventually(t, func() bool {
					err := st.juliet.omemo.Refresh(t.Context(), st.juliet.sess, romeo)
					known, derr := st.juliet.omemo.Devices(t.Context(), romeo)
					return err == nil && derr == nil && len(known) == 4
				})
				for _, other := range others {
					if err := st.juliet.omemo.Distrust(t.Context(), romeo, other.omemo.Fingerprint()); err != nil {
						t.Fatal(err)
					}
				}
			}
			err := st.juliet.Resume(t.Context(), ResumeOptions{
				Transfers: []journal.Key{{ID: failed.Transfer, Direction: journal.Receive}}, Named: true, Wait: time.Minute,
				Route: route.Options{Transports: []string{route.S5B}},
			})
			if err != nil {
				t.Fatal(err)
			}
			st.arrived(t)
		})
	}
}
