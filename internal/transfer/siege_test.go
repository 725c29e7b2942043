package transfer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/charge"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestSiege: a contact floods a receiver with garbage, of which much costs work, holds connections to its
// listener open and offers more files than may run at once, of which hardly a
// byte comes. An honest contact's files arrive all the same, by each path, and
// the receiver is alive and loses nobody.
func TestSiege(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	var accounts []xmpptest.Account
	for _, u := range []string{"romeo", "juliet", "tybalt"} {
		accounts = append(accounts, xmpptest.Account{User: u, Password: u + "pw"})
	}
	s := xmpptest.Start(t, xmpptest.Options{Mutual: true, Accounts: accounts})
	port, dir := freePort(t), t.TempDir()
	juliet, err := Connect(t.Context(), Config{
		Session: session.Config{
			JID: jid.MustParse(s.JID("juliet")), Server: s.Addr, RootCAs: s.CA.Pool(),
			Password: func(context.Context) (string, error) { return "julietpw", nil },
		},
		StateDir: t.TempDir(), Receiver: true, S5B: route.S5BConfig{ListenPorts: []int{port}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := juliet.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts, Prime: true})

	// Slow senders, as many as there are places.
	var slow events
	tybalt := online(t, s, s.Addr, "tybalt", false, slow.report)
	devices := knowWell(t, tybalt, juliet)
	ctx, cancel := context.WithCancelCause(t.Context())
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer cancel(fault.ErrInterrupted)
	for range charge.MaxRunning {
		path := testFile(t, strings.Repeat("x", 1<<20))
		crowd.Go(func() {
			if err := tybalt.Send(ctx, SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: path}}, Wait: time.Minute, LimitRate: 100}); err == nil {
				t.Error("a file of 1 MiB at 100 bytes a second came")
			}
		})
	}
	for slow.count("negotiated") < charge.MaxRunningContact {
		time.Sleep(10 * time.Millisecond)
	}
	siege, err := xmpptest.Besiege(t.Context(), s, "tybalt", "tybaltpw", juliet.JID().String(), addrOf(port), devices)
	if err != nil {
		t.Fatal(err)
	}
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	for name, path := range map[string]string{"direct": route.S5B, "inband": route.IBB} {
		content := bytes.Repeat([]byte(name), 50_000)
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		honest, done := context.WithTimeout(t.Context(), 3*time.Minute)
		err := romeo.Send(honest, SendOptions{
			To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: file}}, Wait: time.Minute, Route: route.Options{Transports: []string{path}},
		})
		done()
		if got, rerr := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %v, %v", name, err, rerr)
		}
	}
	alive, done := context.WithTimeout(t.Context(), 3*time.Minute)
	defer done()
	if err := juliet.Alive(alive); err != nil {
		t.Errorf("alive: %v", err)
	}
	stanzas, conns, err := siege.End()
	t.Logf("%d stanzas, %d connections", stanzas, conns)
	if err != nil || stanzas < 100 || conns == 0 {
		t.Errorf("no siege: %d stanzas, %d connections: %v", stanzas, conns, err)
	}
	if n := slow.count("negotiated"); n > charge.MaxRunningContact {
		t.Errorf("%d transfers of one contact ran at once", n)
	}
}

// count is how many events of the kind were reported.
func (e *events) count(kind string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Kind() == kind {
			n++
		}
	}
	return n
}
