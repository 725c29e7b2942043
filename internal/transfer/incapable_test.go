package transfer

import (
	"context"
	"errors"
	"slices"
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
	"jetsend/internal/profile"
	"jetsend/internal/source"
)

// TestIncapableAtOnce: when all that is online has answered that it takes no encrypted
// file, nothing is waited for: the client is named, and the flag by which it would take
// the file. A contact who is known to use a jetsend may still start it.
func TestIncapableAtOnce(t *testing.T) {
	st := newFormStage(t)
	secure := []string{profile.NS, contact.NSJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile}
	for name, tt := range map[string]struct {
		client string
		hidden []string
		how    dialect.Choice
		reason string
		hint   string
	}{
		"Gajim":           {"Gajim", secure, dialect.ChooseBest, "is online with Gajim, which cannot receive encrypted files", "`jetsend send --insecure-plaintext " + st.path + " juliet@jet.test`"},
		"Libervia":        {"Libervia", []string{profile.NS}, dialect.ChooseBest, "is online with Libervia, which cannot receive encrypted files", "--insecure-plaintext"},
		"Psi, asked for":  {"Psi", secure, dialect.ChooseEncryptedFile, "is online with Psi, which cannot receive files with `--encryption encrypted-file`", "leave `--encryption"},
		"no Jingle":       {"Psi+", append([]string{jingle.NS, jingle.NSFile}, secure...), dialect.ChooseBest, "is online with Psi+, which cannot receive files (Jingle file transfer)", "jetsend receive"},
		"no Jingle, flag": {"Psi+", append([]string{jingle.NS, jingle.NSFile}, secure...), dialect.ChoosePlaintext, "is online with Psi+, which cannot receive files (Jingle file transfer)", "jetsend receive --insecure-plaintext"},
	} {
		t.Run(name, func(t *testing.T) {
			st.pretend(tt.client, tt.hidden...)
			defer st.lie(nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Encryption: tt.how, Wait: time.Hour}
			err := st.romeo.Send(ctx, opt)
			wantCode(t, err, exitcode.Incapable)
			f := err.(*fault.Failure)
			hints := strings.Join(f.Hints, "\n")
			if !strings.Contains(f.Reason, tt.reason) || !strings.Contains(hints, tt.hint) {
				t.Errorf("%q, hints %q", f.Reason, hints)
			}
			if strings.Contains(hints, "send --insecure-plaintext") != slices.Contains([]string{"Gajim", "Libervia"}, name) {
				t.Errorf("hints %q", hints)
			}
		})
	}
	if err := st.send(t, SendOptions{}); err != nil { // as a jetsend
		t.Fatal(err)
	}
	st.arrived(t)
	st.pretend("Gajim", secure...)
	waits := func(why string, opt SendOptions) {
		t.Helper()
		st.out.reset()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		chosen := make(chan error, 1)
		go func() {
			_, err := st.romeo.choose(ctx, opt)
			chosen <- err
		}()
		eventually(t, func() bool {
			w, ok := last[event.Warning](&st.out)
			return ok && strings.Contains(w.Text, "with Gajim, which cannot receive encrypted files from here; you wait for another client")
		})
		cancel()
		if err := <-chosen; !errors.Is(err, context.Canceled) || count[event.Warning](&st.out) != 1 {
			t.Errorf("%s: %v, warned %d times", why, err, count[event.Warning](&st.out))
		}
	}
	waits("its jetsend is known", SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Hour})
	if _, err := st.romeo.db.ExecContext(t.Context(), `DELETE FROM jetsends`); err != nil {
		t.Fatal(err)
	}
	waits("the user says so", SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Hour, Patient: true})
}
