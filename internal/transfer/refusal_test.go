package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// offeredRow makes the row of a file that romeo offered to somebody, in the state
// that steps lead to.
func offeredRow(t *testing.T, e *Endpoint, id string, to jid.JID, path string, keys [][]byte, steps ...func(*journal.Handle) error) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := e.journal.Begin(t.Context(), journal.Row{
		Key: journal.Key{ID: id, Direction: journal.Send}, Peer: to, Profile: true, Name: "f", Path: path,
		Size: info.Size(), Source: journal.SourceFile, MTime: info.ModTime(), Keys: keys,
	})
	for _, step := range append(steps, (*journal.Handle).Release) {
		if err == nil {
			err = step(h)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// askFor is a request for the rest of a file that e has nothing of.
func askFor(t *testing.T, e *Endpoint, id string, size int64, to *contact.Peer, key []byte) error {
	t.Helper()
	row := journal.Row{
		Key: journal.Key{ID: id, Direction: journal.Receive}, Peer: to.JID.Bare(), Profile: true, Name: "f",
		Size: size, Source: journal.SourceFile, Dir: t.TempDir(), Keys: [][]byte{key},
	}
	return request1(t.Context(), e, row, to, route.Options{Transports: []string{route.IBB}}, func(*conversation.Conversation) {})
}

// acquaint has e ask for what nobody knows until that is what the answer says. Two who
// write for the first time may happen to take the same one-time key of the other end's:
// the later one's envelope does not open, and its session is healed.
func acquaint(t *testing.T, e *Endpoint, unknown string, to *contact.Peer, key []byte) {
	t.Helper()
	eventually(t, func() bool {
		var end *fault.Ended
		err := askFor(t, e, unknown, 4, to, key)
		return errors.As(err, &end) && end.Reason.Condition == jingle.Decline
	})
}

// answersTo are the answers that went to somebody since the record had so many, made
// comparable. Questions, which presences bring about, are left out.
func answersTo(tap *xmpptest.Tap, to jid.JID, since int) (answers []string) {
	for _, s := range tap.Stanzas()[since:] {
		iq, err := xmltree.Parse(s.Raw)
		if err != nil || s.Dir != xmpptest.ToServer || iq.Name.Local != "iq" || iq.Attr("type") == "get" || iq.Attr("to") != to.String() {
			continue
		}
		if j := iq.Child(jingle.NS, "jingle"); j != nil {
			j.Set("sid", "SID")
		}
		iq.Set("id", "ID").Set("to", "TO")
		answers = append(answers, iq.String())
	}
	slices.Sort(answers) // the acknowledgement and the end may overtake each other
	return answers
}

// twoAnswersTo is answersTo as text, once there are two: the acknowledgement and the end,
// either of which may be the last thing that goes out.
func twoAnswersTo(t *testing.T, tap *xmpptest.Tap, to jid.JID, since int) string {
	t.Helper()
	eventually(t, func() bool { return len(answersTo(tap, to, since)) >= 2 })
	return strings.Join(answersTo(tap, to, since), "\n")
}

// TestOneRefusal: whatever a contact asks for that they do not get, the answer is the
// same, stanza by stanza and byte for byte. Only the device that a transfer was offered
// to, which knows of it, is told under seal that nothing more will come of it.
func TestOneRefusal(t *testing.T) {
	s := prosody(t)
	if err := errors.Join(s.AddAccount("nurse", "nursepw"), s.Subscribe("romeo", "nurse")); err != nil {
		t.Fatal(err)
	}
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	romeo := online(t, s, tap.Addr, "romeo", true, nil)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	other := online(t, s, s.Addr, "juliet", true, nil) // another device of the contact
	nurse := online(t, s, s.Addr, "nurse", true, nil)
	path, changed, gone, grown := testFile(t, "text"), testFile(t, "text"), testFile(t, "text"), testFile(t, "text")
	theirs, key := jid.MustParse("juliet@jet.test"), juliet.omemo.IdentityKey()
	ids := 0
	row := func(of jid.JID, path string, steps ...func(*journal.Handle) error) string {
		ids++
		id := fmt.Sprintf("%08x-1b2c-4d3e-8f90-a1b2c3d4e5f6", ids)
		keys := [][]byte{key}
		if of != theirs {
			keys = [][]byte{nurse.omemo.IdentityKey()}
		}
		offeredRow(t, romeo, id, of, path, keys, steps...)
		return id
	}
	stop := func(h *journal.Handle) error { return h.Interrupt(fault.ErrStreamLost) }
	fine := row(theirs, path, stop)
	refused := map[string]string{
		"unknown":            "ffffffff-1b2c-4d3e-8f90-a1b2c3d4e5f6",
		"of another contact": row(jid.MustParse("nurse@jet.test"), path, stop),
		"not there":          row(theirs, gone, stop), // it may come back
	}
	forgotten := row(theirs, path, stop)
	over := map[string]string{
		row(theirs, changed, stop): fault.DetailSourceChanged,
		row(theirs, grown, stop):   fault.DetailSourceChanged,
		row(theirs, path, func(h *journal.Handle) error { return h.Fail(fault.ErrStreamLost) }): fault.DetailGone,
		row(theirs, path, (*journal.Handle).Complete):                                           fault.DetailGone,
		forgotten: fault.DetailGone,
	}
	key2 := journal.Key{ID: forgotten, Direction: journal.Send}
	err := errors.Join(romeo.journal.Forget(t.Context(), key2, func(journal.Row) error { return nil }),
		os.Chtimes(changed, time.Unix(1, 0), time.Unix(1, 0)), os.Remove(gone), os.WriteFile(grown, []byte("text and more"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	receive := func(opt ReceiveOptions) {
		opt.Dir, opt.Accept = t.TempDir(), policy.Contacts
		go func() { ended <- romeo.Receive(ctx, opt) }()
		takesOffers(t, romeo)
	}
	receive(ReceiveOptions{})
	to, err := juliet.servants(t.Context(), jid.MustParse("romeo@jet.test"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	mine := romeo.omemo.IdentityKey()
	for _, e := range []*Endpoint{juliet, other, nurse} {
		acquaint(t, e, refused["unknown"], to[0], mine)
	}
	waitIdle(t, romeo)
	want := ""
	refuse := func(what string, e *Endpoint, id string, size int64) {
		t.Helper()
		since := len(tap.Stanzas())
		err := askFor(t, e, id, size, to[0], mine)
		waitIdle(t, romeo)
		var end *fault.Ended
		if !errors.As(err, &end) || end.Reason.Condition != jingle.Decline || end.Reason.Detail != nil || end.Reason.Text != "" {
			t.Errorf("%s: %v", what, err)
		}
		got := twoAnswersTo(t, tap, e.sess.JID(), since)
		if want == "" {
			want = got
		}
		if got != want || got == "" {
			t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
		}
		if code := fault.Of(err).CodeAt(true); code != exitcode.Declined {
			t.Errorf("%s: code %d", what, code)
		}
	}
	for what, id := range refused {
		refuse(what, juliet, id, 4)
	}
	for id, detail := range over {
		refuse(detail+" to another key of the contact", other, id, 4)
		refuse(detail+" to another contact", nurse, id, 4)
		refuse(detail+" of another size", juliet, id, 5)
		if err := juliet.journal.Forget(t.Context(), journal.Key{ID: id, Direction: journal.Receive}, juliet.rows().Discard); err != nil {
			t.Fatal(err) // of the wrong size
		}
		var end *fault.Ended
		if err := askFor(t, juliet, id, 4, to[0], mine); !errors.As(err, &end) || end.Reason.Condition != jingle.Decline || fault.DetailOf(end.Reason) != detail {
			t.Errorf("%s: %v", detail, err) // a decline: an older jetsend knows no detail
		}
		waitIdle(t, romeo)
	}
	refuse("another size", juliet, fine, 5)
	if err := juliet.journal.Forget(t.Context(), journal.Key{ID: fine, Direction: journal.Receive}, juliet.rows().Discard); err != nil {
		t.Fatal(err) // of the wrong size
	}
	refuse("another key of the contact", other, fine, 4)
	refuse("another contact", nurse, fine, 4)

	// Requests that are not encrypted, for the file by its size or by its hash (XEP-0234).
	for what, f := range map[string]*jingle.File{
		"in the clear": {Size: 4, Range: &jingle.Range{Length: -1}},
		"by hash":      {Size: -1, Hashes: []jingle.Hash{{Algo: "sha-256", Value: make([]byte, 32)}}},
	} {
		since := len(tap.Stanzas())
		sess, err := juliet.jingle.Initiate(t.Context(), to[0].JID, jingle.NewSID(), jingle.Content{
			Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderResponder,
			Description: jingle.Description(f), Transport: ibb.NewTransport(0).Element(),
		})
		if err != nil {
			t.Fatal(err)
		}
		<-sess.Done()
		waitIdle(t, romeo)
		if got := twoAnswersTo(t, tap, juliet.sess.JID(), since); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
		}
	}

	// Nothing of that has touched what may be had.
	if err := askFor(t, juliet, fine, 4, to[0], mine); err != nil {
		t.Errorf("what was offered: %v", err)
	}
	waitIdle(t, romeo)
	cancel()
	stopped(t, ended)
	ctx, cancel = context.WithCancel(t.Context())
	more := row(theirs, path, stop)
	receive(ReceiveOptions{NoServe: true})
	refuse("--no-serve", juliet, more, 4)
	cancel()
	stopped(t, ended)

	// A key that is not trusted any more.
	ctx, cancel = context.WithCancel(t.Context())
	if err := romeo.omemo.Distrust(t.Context(), theirs, juliet.omemo.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	receive(ReceiveOptions{})
	refuse("not trusted", juliet, more, 4)
	refuse("not trusted, and unknown", juliet, refused["unknown"], 4)
	cancel()
	stopped(t, ended)
}

// TestConflict: a process that is at a transfer says so to the keys that it belongs
// to, and to nobody else.
func TestConflict(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", true, nil)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	other := online(t, s, s.Addr, "juliet", true, nil)
	path := testFile(t, "text")
	const id = "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6"
	receiving(t, romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	to, err := juliet.servants(t.Context(), jid.MustParse("romeo@jet.test"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*Endpoint{juliet, other} {
		acquaint(t, e, "ffffffff-1b2c-4d3e-8f90-a1b2c3d4e5f6", to[0], romeo.omemo.IdentityKey())
	}
	for _, pausing := range []bool{false, true} { // the sender's run, between two attempts or in one
		offeredRow(t, romeo, id, jid.MustParse("juliet@jet.test"), path, [][]byte{juliet.omemo.IdentityKey()}, func(h *journal.Handle) error {
			if pausing {
				if err := h.Interrupt(fault.ErrStreamLost); err != nil {
					return err
				}
			}
			err := askFor(t, juliet, id, 4, to[0], romeo.omemo.IdentityKey())
			var end *fault.Ended
			if !errors.As(err, &end) || end.Reason.Condition != jingle.Busy || fault.DetailOf(end.Reason) != fault.DetailConflict {
				t.Errorf("pausing %v: %v", pausing, err)
			}
			err = askFor(t, other, id, 4, to[0], romeo.omemo.IdentityKey())
			if !errors.As(err, &end) || end.Reason.Condition != jingle.Decline || end.Reason.Detail != nil {
				t.Errorf("pausing %v, another key: %v", pausing, err)
			}
			return nil
		})
	}
}
