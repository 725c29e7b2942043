package xmpptest

import (
	"encoding/xml"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestGarbage: a server would end the stream of a client that is not well-formed.
func TestGarbage(t *testing.T) {
	seen := map[string]bool{}
	for n := range 100 {
		text := Garbage(n, "juliet@jet.test/x")
		if f := Floods(); n < len(f) {
			text = f[n].Stanza(n, "tybalt@jet.test/x", "juliet@jet.test/x", Devices{1, 2})
		}
		seen[text] = true
		d := xml.NewDecoder(strings.NewReader(text))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%d: %v in %s", n, err, text)
			}
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 differ", len(seen))
	}
}

// TestSiege: stanzas and connections come until the end.
func TestSiege(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Prosody")
	}
	s := Start(t, Options{Mutual: true, Accounts: []Account{{"romeo", "a"}, {"juliet", "b"}}})
	if _, err := LoginRaw(t.Context(), s, "romeo", "wrong", "x"); err == nil {
		t.Error("logged in with a wrong password")
	}
	target, err := LoginRaw(t.Context(), s, "juliet", "b", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g, err := Besiege(t.Context(), s, "romeo", "a", target.JID, l.Addr().String(), Devices{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for g.raw.Sent() < 200 || g.conns.Load() < idleConns {
		time.Sleep(time.Millisecond)
	}
	if stanzas, conns, err := g.End(); err != nil || stanzas < 200 || conns < idleConns {
		t.Errorf("%d stanzas, %d connections: %v", stanzas, conns, err)
	}
}
