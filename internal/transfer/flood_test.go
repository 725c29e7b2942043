package transfer

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/source"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestFloods: a contact floods a receiver with messages, offers or requests of which
// each is as much work as it can be. An honest contact's small file takes about as
// long as in peace: `make bench` measures it, what is asserted here is generous.
func TestFloods(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	var accounts []xmpptest.Account
	for _, u := range []string{"romeo", "juliet", "tybalt"} {
		accounts = append(accounts, xmpptest.Account{User: u, Password: u + "pw"})
	}
	s := xmpptest.Start(t, xmpptest.Options{Mutual: true, Accounts: accounts})
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	devices := knowWell(t, online(t, s, s.Addr, "tybalt", false, nil), juliet)
	small := func(name string) time.Duration {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err := romeo.Send(ctx, SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: file}}, Wait: time.Minute})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return time.Since(begun)
	}
	small("first")
	peace := small("peace")
	for _, f := range xmpptest.Floods() {
		g, err := f.Begin(t.Context(), s, "tybalt", "tybaltpw", juliet.JID().String(), devices)
		if err != nil {
			t.Fatal(err)
		}
		for g.Stanzas() < 10 {
			time.Sleep(10 * time.Millisecond)
		}
		took := small(string(f))
		n, _, err := g.End()
		t.Logf("%v in peace, %v beside %s (%d stanzas)", peace, took, f, n)
		if err != nil || took > 10*peace+5*time.Second {
			t.Errorf("%s: %v, in peace %v: %v", f, took, peace, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := juliet.Alive(ctx); err != nil {
		t.Errorf("alive: %v", err)
	}
}

// knowWell has one endpoint know the device of another with as many sessions as it
// keeps: a contact may begin one as often as he likes.
func knowWell(t *testing.T, of, by *Endpoint) xmpptest.Devices {
	t.Helper()
	base := func() (b string) {
		_ = by.db.QueryRowContext(t.Context(), `SELECT base FROM sessions WHERE jid = ? AND device = ?`,
			of.JID().Bare().String(), of.omemo.DeviceID()).Scan(&b) // none yet is ""
		return b
	}
	for range 11 {
		if _, err := of.db.ExecContext(t.Context(), `DELETE FROM sessions`); err != nil {
			t.Fatal(err)
		}
		before := base()
		e, err := of.omemo.WrapPayload(t.Context(), of.sess, by.JID().Bare(), []byte("hello"), omemo.Kept)
		if err != nil {
			t.Fatal(err)
		}
		err = of.sess.Send(t.Context(), stanza.Message{To: by.JID(), Type: "chat", Children: []*xmltree.Element{e.Element}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return base() != before })
	}
	return xmpptest.Devices{From: of.omemo.DeviceID(), To: by.omemo.DeviceID()}
}
