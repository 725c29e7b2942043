package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// roundTrip is what an answer of the server takes; one of the contact takes two.
	roundTrip = 2 * halfway
	// still is how long nothing happens before somebody was waited for.
	still = 40 * time.Millisecond
	// near is how far a line of the log may be from the bytes that it tells of.
	near = 25 * time.Millisecond
)

// moment is something that the sender said, heard or has reached.
type moment struct {
	at   time.Duration // since the start of the command
	kind kind
	text string
}

type kind int

const (
	said kind = iota
	heard
	reached
)

// exit is the end of the command.
const exit = "exit"

// timeline is a send, moment by moment.
type timeline struct {
	begun   time.Time
	took    time.Duration
	names   *strings.Replacer // addresses to what they are
	moments []moment
	asked   map[string]string // what an iq that was sent was about, by its id
}

// read makes the timeline of the sender's log and of what the relays took in. What the
// log tells is not told again by the bytes.
func (t *timeline) read(log string, pieces []piece) error {
	t.asked = map[string]string{}
	for l := range strings.Lines(log) {
		if err := t.logged(strings.TrimSpace(l)); err != nil {
			return err
		}
	}
	told := slices.Clone(t.moments)
	var last moment
	slices.SortFunc(pieces, func(a, b piece) int { return a.at.Compare(b.at) })
	for _, p := range pieces {
		m := moment{at: p.at.Sub(t.begun), kind: heard}
		if p.sent {
			m.kind = said
		}
		known := slices.ContainsFunc(told, func(o moment) bool { return o.kind == m.kind && (o.at-m.at).Abs() < near })
		if p.of == ofServer && known {
			continue
		}
		m.text = t.text(p, m.at)
		if m.text == "" || m.text == last.text && m.kind == last.kind && m.at-last.at < near {
			continue
		}
		t.moments, last = append(t.moments, m), m
	}
	t.moments = append(t.moments, moment{t.took, reached, exit})
	slices.SortStableFunc(t.moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	return nil
}

// text says what bytes without a line in the log are; "" for those that nobody waits for:
// acknowledgements of stream management and tickets of TLS.
func (t *timeline) text(p piece, at time.Duration) string {
	const handshake, change, header = 22, 20, "<stream:stream>"
	switch b := p.head[0]; {
	case p.of != ofServer:
		return p.socks()
	case b == '<':
		return header
	case b == handshake:
		return "TLS hello"
	case b == change:
		return "TLS finished"
	case p.sent && !t.before("online", at):
		return header
	case t.before("sent", at):
		return "</stream:stream>"
	}
	return ""
}

// before reports whether something was reached before.
func (t *timeline) before(what string, at time.Duration) bool {
	return slices.ContainsFunc(t.moments, func(m moment) bool { return m.kind == reached && m.text == what && m.at <= at })
}

// socks names a piece of a connection for the file: the handshake (RFC 1928), or data.
func (p piece) socks() string {
	const connect, most = 3, 4
	switch {
	case p.head[0] != 5 || p.size > len(p.head) && p.size > 300:
		return fmt.Sprintf("%d bytes of the file's connection", p.size)
	case p.size <= most:
		return "SOCKS5 methods"
	case p.head[connect] == connect:
		return "SOCKS5 connect"
	case p.head[connect] == 5, p.head[connect-1] == 5: // greeting and request, or both answers
		return "SOCKS5 handshake"
	}
	return fmt.Sprintf("%d bytes of the file's connection", p.size)
}

// logged takes a line of the log.
func (t *timeline) logged(l string) error {
	field := func(key string) string {
		_, rest, found := strings.Cut(l, key+"=")
		if !found {
			return ""
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			text, _ := strconv.Unquote(quoted) // it was found to be quoted
			return text
		}
		word, _, _ := strings.Cut(rest, " ")
		return word
	}
	at, err := time.Parse(time.RFC3339, field("time"))
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	m := moment{at: at.Sub(t.begun), kind: reached, text: field("msg")}
	switch m.text {
	case "send":
		m.kind, m.text = said, t.stanza(field("stanza"), said)
	case "receive":
		m.kind, m.text = heard, t.stanza(field("stanza"), heard)
		switch {
		case m.text == "<r/>", m.text == "<a/>":
			return nil
		case strings.Contains(m.text, "session-info"):
			t.moments = append(t.moments, moment{m.at, reached, "receipt"})
		}
	case "online", "offer", "negotiated", "sent":
	default:
		return nil
	}
	t.moments = append(t.moments, m)
	return nil
}

// element is XML as a tree.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// stanza says in short what an element is about, and to or from whom it goes.
func (t *timeline) stanza(text string, k kind) string {
	var e element
	if err := xml.Unmarshal([]byte(text), &e); err != nil {
		return "what cannot be read"
	}
	who, typ := " from "+t.whom(e.attr("from")), e.attr("type")
	if k == said {
		who = " to " + t.whom(e.attr("to"))
	}
	switch e.XMLName.Local {
	case "iq":
		about := e.about()
		if typ == "result" || typ == "error" {
			if asked := t.asked[e.attr("id")]; asked != "" {
				about = asked
			}
		} else {
			t.asked[e.attr("id")] = about
		}
		return strings.TrimRight("iq "+typ+" "+about, " ") + who
	case "presence":
		if e.attr("to") == "" {
			who = ""
		}
		return strings.TrimRight("presence "+typ, " ") + who
	case "message":
		return "message " + e.about() + who
	}
	return "<" + e.XMLName.Local + "/>"
}

// whom says who an address is; none is the account's own server for it.
func (t *timeline) whom(address string) string {
	bare, _, _ := strings.Cut(address, "/")
	if bare == "" {
		return "account"
	}
	return t.names.Replace(bare)
}

// about names what a stanza carries.
func (e element) about() string {
	for _, c := range e.Children {
		switch c.XMLName.Local {
		case "pubsub", "event":
			return c.items()
		case "jingle":
			return c.attr("action")
		case "query":
			return lastPart(c.XMLName.Space)
		case "error", "store":
			continue
		}
		return "<" + c.XMLName.Local + "/> " + lastPart(c.XMLName.Space)
	}
	return ""
}

// items names what is asked of, or done to, a node.
func (e element) items() string {
	for _, c := range e.Children {
		if node := c.attr("node"); node != "" {
			node, _, _ = strings.Cut(node, ":")
			return c.XMLName.Local + " " + lastPart(node)
		}
	}
	return e.XMLName.Local
}

// lastPart is what names a namespace or node, without its version.
func lastPart(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == ':' || r == '/' || r == '.' })
	for len(parts) > 1 && strings.Trim(parts[len(parts)-1], "0123456789") == "" {
		parts = parts[:len(parts)-1]
	}
	if len(parts) == 0 {
		return name
	}
	return parts[len(parts)-1]
}

// print lists the times in which the sender waited, each with what was said before it and
// what came after. It returns what was reached, and after how many round trips.
func (t *timeline) print(say func(string, ...any)) (totals []string) {
	var before burst
	trips, from := 0.0, time.Duration(0)
	goals := slices.DeleteFunc(slices.Clone(t.moments), func(m moment) bool { return m.kind != reached })
	all := slices.DeleteFunc(t.moments, func(m moment) bool { return m.kind == reached && m.text != exit || m.at > t.took })
	for len(all) > 0 {
		b := first(all)
		if wait := b[0].at - from; before != nil && b[0].kind != said {
			trips += wait.Round(halfway).Seconds() / roundTrip.Seconds()
			say("%5.1f %6d ms %5d ms  %s -> %s", trips, from.Milliseconds(), wait.Milliseconds(), before.of(said, "(the same)"), b.of(heard, exit))
		}
		before, from, all = b, b[len(b)-1].at, all[len(b):]
		for len(goals) > 0 && (len(all) == 0 || goals[0].at < all[0].at) {
			totals = append(totals, fmt.Sprintf("%s %.1f (%d ms)", goals[0].text, trips, goals[0].at.Milliseconds()))
			goals = goals[1:]
		}
	}
	return totals
}

// first is what happens until there is a pause.
func first(all []moment) burst {
	n := 1
	for n < len(all) && all[n].at-all[n-1].at < still {
		n++
	}
	return burst(all[:n])
}

// burst is what happened together.
type burst []moment

// of lists what was said or heard in it, each once.
func (b burst) of(k kind, none string) string {
	var texts []string
	count := map[string]int{}
	for _, m := range b {
		if m.kind == k {
			if count[m.text]++; count[m.text] == 1 {
				texts = append(texts, m.text)
			}
		}
	}
	for i, text := range texts {
		if count[text] > 1 {
			texts[i] = fmt.Sprintf("%s x%d", text, count[text])
		}
	}
	if len(texts) == 0 {
		return none
	}
	return strings.Join(texts, ", ")
}
