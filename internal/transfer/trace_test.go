package transfer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// logBuffer is a log of several endpoints.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTraceHoldsNoSecret: two endpoints log everything that there is at the
// lowest level, from the login over a transfer by each path to the farewell. No
// password, no part of a login, no private key, no ciphertext and nothing of the
// file is in it.
func TestTraceHoldsNoSecret(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	for name, disabled := range map[string][]string{"scram": nil, "plain": {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"}} {
		t.Run(name, func(t *testing.T) {
			s := xmpptest.Start(t, xmpptest.Options{
				Mutual: true, Accounts: []xmpptest.Account{{User: "romeo", Password: "romeo secret"}, {User: "juliet", Password: "juliet secret"}}, DisabledSASL: disabled,
			})
			testTrace(t, s)
		})
	}
}

func testTrace(t *testing.T, s *xmpptest.Server) {
	tap := xmpptest.StartTap(t, s, xmpptest.Pass)
	out := &logBuffer{}
	var secrets []string
	open := func(user string, receiver bool) *Endpoint {
		e, err := Connect(t.Context(), Config{
			Session: session.Config{
				JID: jid.MustParse(s.JID(user)), Server: tap.Addr, RootCAs: s.CA.Pool(), AllowPlain: true,
				Password: func(context.Context) (string, error) { return user + " secret", nil },
			},
			StateDir: t.TempDir(), Receiver: receiver, IBBBlockSize: 4096,
			Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.Level(math.MinInt)})),
		})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, user+" secret", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+user+" secret")))
		return e
	}
	juliet, romeo := open("juliet", true), open("romeo", false)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- juliet.Receive(ctx, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, Prime: true})
	}()
	content := strings.Repeat("what is in the file / ", 1000)
	for _, path := range []string{route.S5B, route.IBB} {
		err := romeo.Send(t.Context(), SendOptions{
			To: juliet.JID().Bare(), Files: []source.Named{{Path: testFile(t, content)}}, Wait: time.Minute, Route: route.Options{Transports: []string{path}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel(fault.ErrTerminated)
	if err := <-ended; fault.New(err, false).Code != exitcode.Terminated {
		t.Error(err)
	}
	for _, e := range []*Endpoint{juliet, romeo} {
		secrets = append(secrets, privateKeys(t, e)...)
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	logins, blocks := 0, 0
	for _, st := range tap.Stanzas() {
		switch el, err := xmltree.Parse(st.Raw); {
		case err != nil: // a stream header
		case el.Name.Space == "urn:ietf:params:xml:ns:xmpp-sasl" && el.Text != "":
			logins++
			secrets = append(secrets, el.Text)
		case el.Child("http://jabber.org/protocol/ibb", "data") != nil:
			blocks++
			text := el.Child("http://jabber.org/protocol/ibb", "data").Text
			for i := 0; i < len(text); i += 64 { // no part of it either
				secrets = append(secrets, text[i:min(i+16, len(text))])
			}
		}
	}
	secrets = append(secrets, content[:64])
	log := out.String()
	if logins < 2 || blocks < 5 || !strings.Contains(log, "session-initiate") || !strings.Contains(log, "characters]") || !strings.Contains(log, "<auth") {
		t.Fatalf("there is nothing to compare: %d logins, %d blocks, %d bytes of log", logins, blocks, len(log))
	}
	for _, secret := range secrets {
		if i := strings.Index(log, secret); i >= 0 && len(secret) > 8 {
			t.Errorf("%q is in the log: %s", secret, log[max(0, i-300):min(len(log), i+300)])
		}
	}
	for _, want := range []string{"level=INFO msg=sent ", "level=INFO msg=received "} {
		if n := strings.Count(log, want); n != 2 {
			t.Errorf("%d lines of %q for two transfers", n, want)
		}
	}
}

// privateKeys are the OMEMO keys of an endpoint in the forms in which somebody
// could have written them.
func privateKeys(t *testing.T, e *Endpoint) (forms []string) {
	t.Helper()
	rows, err := e.db.QueryContext(t.Context(), "SELECT private_key FROM identity UNION SELECT private_key FROM prekeys UNION SELECT private_key FROM signed_prekeys")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			t.Fatal(err)
		}
		forms = append(forms, hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)), strings.TrimRight(base64.StdEncoding.EncodeToString(key), "="), fmt.Sprint(key), string(key))
	}
	if err := rows.Err(); err != nil || len(forms) < 5*50 {
		t.Fatalf("%d keys: %v", len(forms), err)
	}
	return forms
}
