package report

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// private are what no report has.
var private = []string{
	"juliet", "capulet", "zuckerhut", "montague", "hush-hush", "aHVzaC1odXNo", "verona", "0123abcd0123abcd", "198.51.100.77", "2001:db8", "sphinx", "4711471147",
}

// leaks fails for what of private is in a text.
func leaks(t *testing.T, text string) {
	t.Helper()
	for _, p := range private {
		if strings.Contains(strings.ToLower(text), strings.ToLower(p)) {
			t.Errorf("%q is in %q", p, text)
		}
	}
}

func TestPhrases(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"connection refused": "connection refused",
		"dial tcp 198.51.100.77:5222: connect: connection refused":    "… connection refused",
		"open /home/juliet/verona.pdf: no such file or directory":     "… no such file or directory",
		"juliet connection refusedly; connection refused-by-montague": "…",
		"/connection refused/ \xff\xfe":                               "…",
		"connection refused (hush-hush), EOF":                         "connection refused … EOF",
	} {
		if got := Phrases(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// hostile are lines of a log that try to bring something in.
var hostile = []string{
	`time=2026-11-21T20:15:00.000Z level=INFO msg=sent peer=juliet@capulet.example/zuckerhut transfer=4711471147 name=verona.pdf bytes=4711471147`,
	`time=juliet level=hush-hush msg="juliet sends verona.pdf" error="dial 198.51.100.77:5222: hush-hush" code=4711471147`,
	`msg="offline" error="aHVzaC1odXNo \"verona.pdf\"` + "\x1b[2J" + `" address=[2001:db8::1]:5222 mechanism=SCRAM-SHA-JULIET`,
	`time=2026-11-21T20:15:00.000Z level=INFO msg="x\nmsg=juliet" host=sphinx.capulet.example resumed=juliet retry_in=hush-hush`,
	`juliet@capulet.example sent verona.pdf`, `peer="juliet`, `=juliet`, `peer= juliet`, `"juliet"=1`, `from=xmpp:juliet@capulet.example`,
	"\xff\xfe=juliet", `peer=` + strings.Repeat("juliet", 1000), `of=hush-hush jid=/juliet with=@ to=juliet@`,
}

func TestLine(t *testing.T) {
	n := NewNames()
	n.Same("account", "sphinx", "juliet@capulet.example")
	for _, line := range hostile {
		leaks(t, n.Clean(n.Line(Parse(line))))
	}
	n = NewNames()
	n.Same("account", "sphinx", "juliet@capulet.example")
	r := Record{Time: "2026-11-21T20:15:00.5+01:00", Level: "WARN", Message: "offline", Attributes: [][2]string{
		{"peer", "Juliet@capulet.example/a"}, {"from", "romeo@montague.example"}, {"address", "xmpp.capulet.example:5222"}, {"host", "198.51.100.77"},
		{"transfer", "0a3c"}, {"error", "juliet: connection refused"}, {"resumed", "true"}, {"retry_in", "1.5s"}, {"name", "verona.pdf"}, {"code", "6"},
	}}
	want := `2026-11-21T19:15:00.500Z WARN "offline" peer=account-1 from=address-1 address=server-3:5222 host=ip-1 transfer=transfer-1 error="… connection refused" resumed=true retry_in=1.5s code=6`
	if got := n.Line(r); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestMemory(t *testing.T) {
	m := NewMemory()
	log := slog.New(m).With("transfer", "0a3c", "name", "verona.pdf")
	for range MaxLines + 5 {
		log.Debug("offline", "error", errors.New("hush-hush: EOF"), "path", "/verona")
	}
	log.WithGroup("g").Info("online", "peer", "juliet")
	records := m.Records()
	if len(records) != MaxLines || !slices.Equal(records[0].Attributes, [][2]string{{"transfer", "0a3c"}, {"error", "hush-hush: EOF"}}) {
		t.Errorf("%d, first %v", len(records), records[0])
	}
	n := NewNames()
	for _, r := range records {
		leaks(t, n.Line(r))
	}
}

func TestDetails(t *testing.T) {
	n := NewNames()
	n.Same("account", "juliet@capulet.example")
	type device struct {
		ID          uint32 `json:"id"`
		Fingerprint string `json:"fingerprint"`
		Trust       string `json:"trust"`
	}
	got := n.Details("client", struct {
		JID     string         `json:"jid"`
		Name    string         `json:"name"`
		Version string         `json:"version"`
		Devices []device       `json:"devices"`
		Extra   map[string]any `json:"extra"`
		Show    string         `json:"show"`
	}{"juliet@capulet.example/sphinx", "zuckerhut", "198.51.100.77", []device{{4711, strings.Repeat("0123abcd", 8), "blind"}}, map[string]any{"to": "juliet"}, "hush-hush"})
	if want := "devices=[{id=device-1 trust=blind}] jid=account-1 name=… show=… version=…"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, none := range []any{nil, 5, "juliet", func() {}} {
		if got := n.Details("dns", none); got != "" {
			t.Errorf("%v: %s", none, got)
		}
	}
}

func TestClean(t *testing.T) {
	n := NewNames()
	n.Same("account", "home", "juliet@capulet.example")
	n.Person("romeo@montague.example/x")
	n.Hide("hush-hush", "ab", "", "jetsend")
	got := n.Clean("HOME Juliet@Capulet.example hush-HUSH ab romeo montague.example jetsend\n")
	if want := "account-1 account-1 [hidden] ab [hidden] server-1 jetsend\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := NewNames().Clean("a"); got != "a" {
		t.Error(got)
	}
}

func TestManyNames(t *testing.T) {
	n := NewNames()
	for i := range 2 * maxNames {
		n.Same("transfer", fmt.Sprint(i))
	}
	if got := n.Same("transfer", "one more"); got != left || len(n.given) != maxNames {
		t.Errorf("%s, %d", got, len(n.given))
	}
}

// FuzzLine: whatever a line has, what comes out is made of what is on the lists.
func FuzzLine(f *testing.F) {
	for _, line := range hostile {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		n := NewNames()
		got := n.Line(Parse(line))
		if strings.ContainsAny(got, "\n\r\x1b") {
			t.Errorf("%q", got)
		}
		for _, field := range strings.Fields(got)[3:] {
			name, _, ok := strings.Cut(field, "=")
			if ok && attributes[name] == none {
				t.Errorf("%q in %q", field, got)
			}
		}
		// A secret between letters that no list has.
		const secret = "Qzx9Qzx9"
		if !strings.Contains(line, secret) {
			for _, at := range []string{"msg=", "error=", "peer=", "name=", "time=", "level=", "transfer=", "address="} {
				if text := n.Line(Parse(at + secret + " " + line)); strings.Contains(text, secret) {
					t.Errorf("%q", text)
				}
			}
		}
	})
}
