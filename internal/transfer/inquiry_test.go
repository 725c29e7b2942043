package transfer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/session"
)

// asleep is a client that never answers.
const asleep = time.Hour

// TestInquiry: who never answers is not waited for, once a client has answered that
// suits; a better one may be slower than that, and one that calls itself a jetsend has
// all the time that there is.
func TestInquiry(t *testing.T) {
	type one struct {
		name  string
		node  string
		after time.Duration
		form  form
	}
	const profile = session.CapsNode
	for name, tt := range map[string]struct {
		clients []one
		least   form // 0: any
		plain   bool
		want    string // names, in the order of the answers
		after   time.Duration
	}{
		"nobody":                      {},
		"one":                         {clients: []one{{"a", "", time.Second, formJET}}, want: "a", after: time.Second},
		"one, asleep":                 {clients: []one{{"a", "", asleep, formJET}}, after: discoWait},
		"Dino and a phone asleep":     {clients: []one{{"dino", "https://dino.im", 50 * time.Millisecond, formJET}, {"phone", "http://conversations.im", asleep, formJET}}, want: "dino", after: 50*time.Millisecond + grace},
		"jetsend and a phone asleep":  {clients: []one{{"jetsend", profile, 50 * time.Millisecond, formJetsend}, {"phone", "http://conversations.im", asleep, formJET}}, want: "jetsend", after: 50 * time.Millisecond},
		"two jetsends, one asleep":    {clients: []one{{"jetsend", profile, 50 * time.Millisecond, formJetsend}, {"other", profile, asleep, formJetsend}}, want: "jetsend", after: 50*time.Millisecond + grace},
		"two jetsends":                {clients: []one{{"one", profile, 50 * time.Millisecond, formJetsend}, {"two", profile, 300 * time.Millisecond, formJetsend}}, want: "one two", after: 300 * time.Millisecond},
		"jetsend a little later":      {clients: []one{{"dino", "", 50 * time.Millisecond, formJET}, {"jetsend", "", 400 * time.Millisecond, formJetsend}}, want: "dino jetsend", after: 400 * time.Millisecond},
		"jetsend that says so, late":  {clients: []one{{"dino", "", 50 * time.Millisecond, formJET}, {"jetsend", profile, 4 * time.Second, formJetsend}}, want: "dino jetsend", after: 4 * time.Second},
		"… and is not waited for":     {clients: []one{{"dino", "", 50 * time.Millisecond, formJET}, {"jetsend", profile, asleep, formJetsend}}, want: "dino", after: discoWait},
		"… with a phone asleep":       {clients: []one{{"dino", "", 50 * time.Millisecond, formJET}, {"phone", "", asleep, formJET}, {"jetsend", profile, 4 * time.Second, formJetsend}}, want: "dino jetsend", after: 4 * time.Second},
		"a slow line":                 {clients: []one{{"dino", "", 2 * time.Second, formJET}, {"other", "", 3900 * time.Millisecond, formJET}, {"phone", "", asleep, formJET}}, want: "dino other", after: 4 * time.Second},
		"the first does not suit":     {clients: []one{{"gajim", "", 50 * time.Millisecond, formNone}, {"dino", "", 3 * time.Second, formJET}}, want: "gajim dino", after: 3 * time.Second},
		"none suits, a phone asleep":  {clients: []one{{"gajim", "", 50 * time.Millisecond, formNone}, {"phone", "", asleep, formJET}}, want: "gajim", after: discoWait},
		"jetsends alone suit":         {clients: []one{{"dino", "", 50 * time.Millisecond, formJET}, {"phone", "", asleep, formJET}}, least: formJetsend, want: "dino", after: discoWait},
		"plain, and a phone asleep":   {clients: []one{{"gajim", "", 50 * time.Millisecond, formInsecurePlaintext}, {"phone", "", asleep, formJET}}, plain: true, want: "gajim", after: 50*time.Millisecond + grace},
		"plain, and a jetsend asleep": {clients: []one{{"gajim", "", 50 * time.Millisecond, formInsecurePlaintext}, {"jetsend", profile, asleep, formInsecurePlaintext}}, plain: true, want: "gajim", after: 50*time.Millisecond + grace},
	} {
		synctest.Test(t, func(t *testing.T) {
			scripts := map[jid.JID]one{}
			var clients []session.Resource
			for _, c := range tt.clients {
				full := jid.MustParse("juliet@jet.test/" + c.name)
				scripts[full] = c
				clients = append(clients, session.Resource{JID: full, Caps: session.Caps{Node: c.node}})
			}
			q := inquiry{least: max(tt.least, formNone+1), most: formJetsend, ask: func(ctx context.Context, r session.Resource) *peer {
				select {
				case <-time.After(scripts[r.JID].after):
					return &peer{jid: r.JID, form: scripts[r.JID].form}
				case <-ctx.Done():
					return nil
				}
			}}
			if tt.plain {
				q.most = formInsecurePlaintext
			}
			begun := time.Now()
			var got []string
			for _, p := range q.run(t.Context(), clients) {
				got = append(got, p.jid.Resource())
			}
			if took := time.Since(begun); strings.Join(got, " ") != tt.want || took != tt.after {
				t.Errorf("%s: %q after %v, want %q after %v", name, got, took, tt.want, tt.after)
			}
		})
	}
}

// TestInquiryStops: a run that is stopped does not wait for answers.
func TestInquiryStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		begun := time.Now()
		q := inquiry{least: formJET, most: formJetsend, ask: func(ctx context.Context, _ session.Resource) *peer {
			<-ctx.Done()
			return nil
		}}
		if got := q.run(ctx, make([]session.Resource, 3)); len(got) > 0 || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", got, time.Since(begun))
		}
	})
}

// TestCannot: the sentence about clients that cannot take a file, whatever they call
// themselves.
func TestCannot(t *testing.T) {
	for want, names := range map[string][]string{
		"Gajim":                               {"Gajim"},
		"Gajim and Psi+":                      {"Gajim", "Psi+", "Gajim"},
		"A, B and C":                          {"A", "B", "C"},
		"A, B, C and 2 others":                {"A", "B", "C", "D", "E"},
		"a client without a name":             {""},
		strings.Repeat("ä", clientName) + "…": {strings.Repeat("ä", 1000)},
	} {
		clients := []*peer{{name: "jetsend", client: jetsend}}
		for _, n := range names {
			clients = append(clients, &peer{name: n})
		}
		if got := cannot(jid.MustParse("juliet@jet.test"), clients, "files"); got != "juliet@jet.test is online with "+want+", which cannot receive files" {
			t.Error(got)
		}
	}
	got := cannot(jid.MustParse("juliet@jet.test"), []*peer{{name: "jetsend", client: jetsend}}, "files")
	if got != "juliet@jet.test is online with jetsend, but not with `jetsend receive`" {
		t.Error(got)
	}
}

// TestIncapableAtOnce: when all that is online has answered that it takes no encrypted
// file, nothing is waited for: the client is named, and the flag by which it would take
// the file. A contact who is known to use a jetsend may still start it.
func TestIncapableAtOnce(t *testing.T) {
	st := newFormStage(t)
	secure := []string{NS, nsJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile}
	for name, tt := range map[string]struct {
		client string
		hidden []string
		how    Encryption
		reason string
		hint   string
	}{
		"Gajim":           {"Gajim", secure, EncryptionAuto, "is online with Gajim, which cannot receive encrypted files", "`jetsend send --insecure-plaintext " + st.path + " juliet@jet.test`"},
		"Libervia":        {"Libervia", []string{NS}, EncryptionAuto, "is online with Libervia, which cannot receive encrypted files", "--insecure-plaintext"},
		"Psi, asked for":  {"Psi", secure, EncryptionFile, "is online with Psi, which cannot receive files with `--encryption encrypted-file`", "leave `--encryption"},
		"no Jingle":       {"Psi+", append([]string{jingle.NS, jingle.NSFile}, secure...), EncryptionAuto, "is online with Psi+, which cannot receive files (Jingle file transfer)", "jetsend receive"},
		"no Jingle, flag": {"Psi+", append([]string{jingle.NS, jingle.NSFile}, secure...), EncryptionInsecurePlaintext, "is online with Psi+, which cannot receive files (Jingle file transfer)", "jetsend receive --insecure-plaintext"},
	} {
		t.Run(name, func(t *testing.T) {
			st.pretend(tt.client, tt.hidden...)
			defer st.lie(nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []Source{{Path: st.path}}, Encryption: tt.how, Wait: time.Hour}
			err := st.romeo.Send(ctx, opt)
			wantCode(t, err, exitcode.Incapable)
			f := err.(*Failure)
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
			w, ok := last[Warning](&st.out)
			return ok && strings.Contains(w.Text, "with Gajim, which cannot receive encrypted files from here; you wait for another client")
		})
		cancel()
		if err := <-chosen; !errors.Is(err, context.Canceled) || count[Warning](&st.out) != 1 {
			t.Errorf("%s: %v, warned %d times", why, err, count[Warning](&st.out))
		}
	}
	waits("its jetsend is known", SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Hour})
	if _, err := st.romeo.db.ExecContext(t.Context(), `DELETE FROM jetsends`); err != nil {
		t.Fatal(err)
	}
	waits("the user says so", SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Hour, Patient: true})
}
