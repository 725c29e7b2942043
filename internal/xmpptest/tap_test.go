package xmpptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// pair logs romeo in through a tap and juliet directly, and waits until romeo
// has the answer to a ping through it.
func pair(t *testing.T, rewrite Rewrite) (tap *Tap, romeo, juliet *rawClient) {
	t.Helper()
	s := Start(t, Options{Software: software(), Accounts: couple, NoProxy: true})
	tap = StartTap(t, s, rewrite)
	romeo = login(t, s, tap.Addr, "romeo", couple[0].Password)
	juliet = login(t, s, s.Addr, "juliet", "julietpw")
	romeo.send("<presence/>")
	juliet.send("<presence/>")
	romeo.expect("<presence")
	return tap, romeo, juliet
}

func body(text string) string {
	return fmt.Sprintf("<message type='chat' to='juliet@jet.test/raw'><body a=\"b'c\" >%s</body></message>", text)
}

func TestTapPassesAndRecords(t *testing.T) {
	tap, romeo, juliet := pair(t, nil)
	romeo.send(" ")
	romeo.send("%s", body("&lt;1&gt; ]]&gt; <![CDATA[</x>]]>"))
	juliet.expect("&lt;1&gt; ]]&gt; &lt;/x&gt;")
	juliet.send("<message to='romeo@jet.test/raw' type='chat'><body>back</body></message>")
	romeo.expect("back")
	ctx, cancel := context.WithTimeout(t.Context(), tapTimeout)
	defer cancel()
	got, err := tap.Wait(ctx, func(s Stanza) bool { return bytes.Contains(s.Raw, []byte("back")) })
	if err != nil || got.Dir != ToClient || got.Conn != 1 {
		t.Errorf("recorded %+v, %v", got, err)
	}
	want := body("&lt;1&gt; ]]&gt; <![CDATA[</x>]]>")
	got, err = tap.Wait(ctx, func(s Stanza) bool { return string(s.Raw) == want })
	if err != nil || got.Dir != ToServer || string(got.Sent[0]) != want {
		t.Errorf("recorded %+v, %v", got, err)
	}
	var dump bytes.Buffer
	if err := tap.Dump(&dump); err != nil || !strings.Contains(dump.String(), "C>S 1 -->\n"+want+"\n") {
		t.Errorf("dump (%v):\n%s", err, dump.String())
	}
	romeo.send("</stream:stream>")
	for {
		u, err := romeo.split.next()
		if err != nil {
			t.Fatalf("no goodbye through the tap: %v", err)
		}
		if u.kind == unitClose {
			break
		}
	}
	if errs := tap.Errors(); len(errs) > 0 {
		t.Errorf("errors: %v", errs)
	}
}

func TestTapRewrites(t *testing.T) {
	tap, romeo, juliet := pair(t, nil)
	held := make(chan []byte, 1)
	tap.SetRewrite(func(dir Direction, st []byte) [][]byte {
		switch {
		case dir == ToClient:
			return [][]byte{bytes.ReplaceAll(st, []byte("true"), []byte("false"))}
		case bytes.Contains(st, []byte("drop")):
			return nil
		case bytes.Contains(st, []byte("twice")):
			return [][]byte{st, st}
		case bytes.Contains(st, []byte("later")):
			held <- st
			return nil
		}
		return [][]byte{bytes.ReplaceAll(st, []byte("one"), []byte("two"))}
	})
	for _, text := range []string{"drop", "one", "later", "twice"} {
		romeo.send("%s", body(text))
	}
	next := func(want string) {
		t.Helper()
		if got := juliet.expect("<message"); !strings.Contains(got, ">"+want+"<") {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	next("two")
	next("twice")
	next("twice")
	if err := tap.Inject(ToServer, <-held); err != nil {
		t.Fatal(err)
	}
	next("later")
	juliet.send("<message to='romeo@jet.test/raw' type='chat'><body>true</body></message>")
	if got := romeo.expect("<message"); !strings.Contains(got, ">false<") {
		t.Errorf("got %s", got)
	}
	if err := tap.Inject(ToClient, []byte("<message><body>from nobody</body></message>")); err != nil {
		t.Fatal(err)
	}
	romeo.expect("from nobody")
	for _, st := range tap.Stanzas() {
		if bytes.Contains(st.Raw, []byte("drop")) && len(st.Sent) != 0 {
			t.Errorf("dropped, but recorded as sent: %+v", st)
		}
	}
}

// Stanzas that are added, in place or by Inject, do not show in the numbers of
// stream management, which the server would end the stream for.
func TestTapCounts(t *testing.T) {
	tap, romeo, juliet := pair(t, nil)
	romeo.send("<enable xmlns='urn:xmpp:sm:3'/>")
	romeo.expect("<enabled")
	tap.SetRewrite(func(dir Direction, st []byte) [][]byte {
		if bytes.Contains(st, []byte("twice")) {
			return [][]byte{st, st}
		}
		return [][]byte{st}
	})
	romeo.send("%s%s", body("twice"), body("once"))
	for range 3 {
		juliet.expect("<message")
	}
	if err := tap.Inject(ToServer, []byte(body("injected"))); err != nil {
		t.Fatal(err)
	}
	juliet.expect("injected")
	romeo.send("<r xmlns='urn:xmpp:sm:3'/>")
	if got := romeo.expect("<a "); !strings.Contains(got, "h='2'") {
		t.Errorf("acknowledged: %s", got)
	}
	juliet.send("<message to='romeo@jet.test/raw' type='chat'><body>twice</body></message>")
	for range 2 {
		romeo.expect("twice")
	}
	// The server would end the stream if it heard of what it has not sent.
	romeo.send("<a xmlns='urn:xmpp:sm:3' h='2'/><iq type='get' id='p' to='jet.test'><ping xmlns='urn:xmpp:ping'/></iq>")
	romeo.expect("id='p'")
}

func TestTapLiesAboutFeatures(t *testing.T) {
	s := Start(t, Options{Software: software(), Accounts: couple, NoProxy: true})
	tap := StartTap(t, s, func(dir Direction, st []byte) [][]byte {
		return [][]byte{bytes.ReplaceAll(st, []byte("<mechanism>SCRAM-SHA-256</mechanism>"), nil)}
	})
	c := dialRaw(t, s, tap.Addr, false)
	if strings.Contains(c.features, "SCRAM-SHA-256<") || !strings.Contains(c.features, "SCRAM-SHA-1<") {
		t.Errorf("features: %s", c.features)
	}
	plus := "<stream:features><mechanisms><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms>" +
		"<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding></stream:features>"
	want := "<stream:features><mechanisms><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>"
	if got := string(withoutChannelBinding([]byte(plus))); got != want {
		t.Errorf("channel binding left: %s", got)
	}
}

func TestTapCutAndClose(t *testing.T) {
	tap, romeo, _ := pair(t, nil)
	tap.Cut()
	if u, err := romeo.split.next(); err == nil {
		t.Errorf("after the cut: %s", u.raw)
	}
	c := login(t, tap.server, tap.Addr, "romeo", couple[0].Password)
	entered, slept := make(chan struct{}), make(chan bool, 1)
	tap.SetRewrite(func(_ Direction, st []byte) [][]byte {
		close(entered)
		slept <- tap.Sleep(time.Hour)
		return nil
	})
	c.send("<presence/>")
	<-entered
	tap.Close()
	if <-slept {
		t.Error("an hour has passed")
	}
	if err := tap.Inject(ToClient, []byte("<presence/>")); !errors.Is(err, errTapIdle) {
		t.Errorf("inject into a closed tap: %v", err)
	}
}

func TestTapBeforeDeadServer(t *testing.T) {
	tap, romeo, _ := pair(t, nil)
	tap.server.Kill()
	for {
		if _, err := romeo.split.next(); err != nil {
			break
		}
	}
	if _, err := dialTCP(t, tap.Addr).Read(make([]byte, 1)); err == nil {
		t.Error("the tap answers for a dead server")
	}
}
