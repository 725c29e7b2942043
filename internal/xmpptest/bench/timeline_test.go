package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTimeline has a login of one answer, an offer of which the answer takes two round
// trips, a connection for the file, and an acknowledgement that nobody waits for.
func TestTimeline(t *testing.T) {
	begun := time.Now().Truncate(time.Second)
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	var log strings.Builder
	line := func(ms int, msg, stanza string) {
		fmt.Fprintf(&log, "time=%s level=TRACE msg=%s stanza=%q\n", at(ms).Format("2006-01-02T15:04:05.000Z07:00"), msg, stanza)
	}
	line(110, "receive", `<features/>`)
	line(112, "send", `<iq type="get" id="1"><query xmlns="jabber:iq:roster"/></iq>`)
	line(212, "receive", `<iq type="result" id="1"/>`)
	line(213, "online", "")
	line(290, "receive", `<r xmlns="urn:xmpp:sm:3"/>`)
	line(295, "send", `<iq type="set" id="2" to="b@x/y"><jingle action="session-initiate"/></iq>`)
	line(496, "receive", `<iq type="result" id="2" from="b@x/y"/>`)
	x := &timeline{begun: begun, took: 650 * time.Millisecond, names: strings.NewReplacer("b@x", "contact")}
	err := x.read(log.String(), []piece{
		{at(10), true, ofServer, "<stream:stream>", 20},
		{at(109), false, ofServer, "<stream:stream>", 20}, // told by the log
		{at(497), true, byUs, "\x05\x01\x00", 3},
		{at(547), false, byUs, "\x05\x00", 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	totals := x.print(func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) })
	const want = `  1.0     10 ms   100 ms  <stream:stream> -> <features/>
  2.0    112 ms   100 ms  iq get roster to account -> iq result roster from account
  4.0    295 ms   201 ms  iq set session-initiate to contact -> iq result session-initiate from contact
  4.5    497 ms    50 ms  SOCKS5 methods -> SOCKS5 methods
  5.5    547 ms   103 ms  (the same) -> exit
`
	if out.String() != want {
		t.Errorf("%s\nwant:\n%s", &out, want)
	}
	if got := strings.Join(totals, ", "); got != "online 2.0 (213 ms), exit 5.5 (650 ms)" {
		t.Errorf("totals: %s", got)
	}
}

// TestSocksAtOnce: greeting and request that come together are no data, nor are their answers.
func TestSocksAtOnce(t *testing.T) {
	for _, head := range []string{"\x05\x01\x00\x05\x01\x00\x03", "\x05\x00\x05\x00\x00\x03"} {
		if got := (piece{head: head, size: 50}).socks(); got != "SOCKS5 handshake" {
			t.Errorf("%q: %s", head, got)
		}
	}
}
