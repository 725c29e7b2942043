package transfer

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestFormStartsOver: in a form that knows no parts of a file a retry begins at 0
// with a fresh secret and says so, in the run and by `resume`.
func TestFormStartsOver(t *testing.T) {
	for name, how := range map[string]dialect.Choice{"jet": dialect.ChooseJET, "draft": dialect.ChooseDraft, "file": dialect.ChooseEncryptedFile} {
		t.Run(name, func(t *testing.T) {
			st := setStage(t, 1<<20, xmpptest.CutAt(300<<10))
			receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
			opt := SendOptions{
				To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, Encryption: how,
				AnswerTimeout: time.Minute, Route: route.Options{Transports: []string{route.S5B}}, Retry: RetryOptions{Retries: 1, For: time.Minute},
			}
			wantCode(t, st.romeo.Send(t.Context(), opt), exitcode.Interrupted)
			waitIdle(t, st.juliet)
			w, ok := last[event.Warning](&st.out)
			if !ok || !strings.Contains(w.Text, "from the beginning") {
				t.Errorf("warning %+v", w)
			}
			if i, ok := last[event.Interrupted](&st.out); !ok || i.Bytes != 0 {
				t.Errorf("%+v", i)
			}
			if o, _ := last[event.Offer](&st.out); o.ResumedFrom != 0 {
				t.Errorf("%+v", o)
			}
			if _, ok := last[event.Resumed](&st.out); ok {
				t.Error("resumed")
			}
			failed, _ := last[event.Failed](&st.out)
			if names, _ := os.ReadDir(st.dir); len(names) > 0 {
				t.Errorf("the receiver keeps %v", names)
			}
			first := st.relay.Carried()
			st.through(t)
			err := st.romeo.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{{ID: failed.Transfer, Direction: journal.Send}}, Wait: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			st.arrived(t)
			// Between jetsends it goes on as JET, never with the same key.
			if n, _ := last[event.Negotiated](&st.in); n.Encryption != dialect.WordJET || n.Cipher != "aes-128-gcm" {
				t.Errorf("%+v", n)
			}
			second := st.relay.Carried()
			one, two := append(first.Up, first.Down...), append(second.Up, second.Down...)
			if len(one) < 1000 || len(two) != len(st.data)+16 || bytes.Equal(one[:1000], two[:1000]) {
				t.Error("the same key and IV for two streams")
			}
		})
	}
}

// TestGuardForms: a contact whose key has used our profile never gets less
// unasked, in whatever form; asked for, each form is sent.
func TestGuardForms(t *testing.T) {
	st := newFormStage(t)
	if err := st.send(t, SendOptions{}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	for hint, hidden := range map[string][]string{
		"--encryption jet`":            {profile.NS},
		"--encryption encrypted-file`": {profile.NS, contact.NSJETOMEMO},
	} {
		st.pretend("", hidden...)
		err := st.send(t, SendOptions{})
		wantCode(t, err, exitcode.Untrusted)
		if hints := strings.Join(err.(*fault.Failure).Hints, "\n"); !strings.Contains(hints, hint) {
			t.Errorf("%v: %q", hidden, hints)
		}
		st.nothing(t)
	}
	// The draft goes to no client that has JET with OMEMO: it would keep the ciphertext.
	st.pretend("", profile.NS)
	wantCode(t, st.send(t, SendOptions{Encryption: dialect.ChooseDraft, Wait: time.Second}), exitcode.Incapable)
	for _, how := range []dialect.Choice{dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		if how == dialect.ChooseDraft {
			st.pretend("", profile.NS, contact.NSJETOMEMO)
		}
		if err := st.send(t, SendOptions{Encryption: how}); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		_ = os.Remove(filepath.Join(st.dir, "f"))
	}
	// And one that needs no form that was hidden.
	st.pretend("Conversations 2.5.7", profile.NS, contact.NSJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile)
	wantCode(t, st.send(t, SendOptions{Wait: time.Second}), exitcode.Incapable)
}
