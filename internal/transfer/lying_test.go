package transfer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/policy"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// A mutation is something that a lying server does to one stanza.
type mutation struct {
	name string
	do   func(iq *xmltree.Element)
}

// spot leads from an iq to one of its descendants.
type spot []int

func (s spot) in(e *xmltree.Element) *xmltree.Element {
	for _, i := range s {
		e = e.Children[i]
	}
	return e
}

// mutations lists every attribute changed and dropped, every text changed,
// every element renamed into another name space and every element left out, of all that the
// jingle element of iq holds.
func mutations(iq *xmltree.Element) (out []mutation) {
	var walk func(e *xmltree.Element, at spot, path string)
	walk = func(e *xmltree.Element, at spot, path string) {
		at = append(spot(nil), at...)
		for _, a := range e.Attrs {
			name, value := a.Name.Local, a.Value
			out = append(out,
				mutation{path + "@" + name + " changed", func(iq *xmltree.Element) { at.in(iq).Set(name, changed(value)) }},
				mutation{path + "@" + name + " dropped", func(iq *xmltree.Element) {
					e := at.in(iq)
					for i, a := range e.Attrs {
						if a.Name.Local == name {
							e.Attrs = append(e.Attrs[:i], e.Attrs[i+1:]...)
							return
						}
					}
				}})
		}
		if text := e.Text; strings.TrimSpace(text) != "" {
			out = append(out, mutation{path + " text changed", func(iq *xmltree.Element) { at.in(iq).Text = changed(text) }})
		}
		out = append(out, mutation{path + " of another name space", func(iq *xmltree.Element) { at.in(iq).Name.Space = "urn:other" }})
		parent, i := at[:len(at)-1], at[len(at)-1]
		out = append(out, mutation{path + " left out", func(iq *xmltree.Element) {
			p := parent.in(iq)
			p.Children = append(p.Children[:i], p.Children[i+1:]...)
		}})
		for i, c := range e.Children {
			walk(c, append(at, i), path+"/"+c.Name.Local)
		}
	}
	walk(iq.Children[0], spot{0}, "jingle")
	return out
}

// changed returns another value of the same kind.
func changed(v string) string {
	switch {
	case v == "initiator":
		return "responder"
	case v == "":
		return "x"
	case v[0] == '1':
		return "2" + v[1:]
	case v[0] >= '0' && v[0] <= '9':
		return "1" + v[1:]
	case v[0] == 'A', v[0] == 'a': // which is the same in hex
		return "B" + v[1:]
	}
	return "A" + v[1:]
}

// lieTime is what comes of a lie, once it was told, before the sender is stopped:
// some of them are never answered. It fails nothing, on a slow machine either.
const lieTime = time.Second

// liar rewrites the one stanza that it is told to and remembers what passed.
type liar struct {
	mu   sync.Mutex
	kind string
	do   func(*xmltree.Element)
	hits int
	stop context.CancelFunc // ends the send that is being lied about
	seen map[string]*xmltree.Element
}

// kindOf tells which stanza of a transfer this is.
func kindOf(iq *xmltree.Element) string {
	j := iq.Child(jingle.NS, "jingle")
	switch action := j.Attr("action"); action {
	case "session-initiate", "session-accept":
		return action
	case "session-info":
		if j.Child(jingle.NSFile, "received") != nil {
			return "receipt"
		}
	}
	return ""
}

func (l *liar) rewrite(_ xmpptest.Direction, raw []byte) [][]byte {
	iq, err := xmltree.Parse(raw)
	if err != nil || iq.Name.Local != "iq" {
		return [][]byte{raw}
	}
	kind := kindOf(iq)
	if kind == "" {
		return [][]byte{raw}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[kind] = iq.Clone()
	if kind != l.kind {
		return [][]byte{raw}
	}
	if l.hits++; l.hits == 1 {
		time.AfterFunc(lieTime, l.stop)
	}
	l.do(iq)
	// The name space of the stream is in force around the stanza.
	return [][]byte{iq.Append(nil, "")}
}

func (l *liar) lie(kind string, do func(*xmltree.Element)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kind, l.do, l.hits = kind, do, 0
}

func (l *liar) stops(cancel context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = cancel
}

func (l *liar) told() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hits
}

func (e *events) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = nil
}

// TestLyingServer: whatever a server changes, drops or swaps in the offer, the
// accept or the receipt, the sender never says sent, and the receiver says
// received only when all that was touched came after that was true.
func TestLyingServer(t *testing.T) {
	for kind, least := range map[string]int{"session-initiate": 100, "session-accept": 80, "receipt": 15} {
		t.Run(kind, func(t *testing.T) {
			st := newLyingStage(t)
			if err := st.send(t); err != nil {
				t.Fatalf("honest server: %v", err)
			}
			honest := st.seen[kind].Clone()
			all := append(mutations(honest), swaps(kind, honest)...)
			for _, m := range all {
				st.tries(t, kind, m)
			}
			if len(all) < least {
				t.Errorf("only %d mutations", len(all))
			}
			st.lie("", nil)
			if err := st.send(t); err != nil {
				t.Errorf("honest again: %v", err)
			}
		})
	}
}

// swaps are the lies that put something of another transfer in the place of what is said.
func swaps(kind string, honest *xmltree.Element) []mutation {
	all := []mutation{{"replayed from another transfer", func(iq *xmltree.Element) {
		sid := iq.Children[0].Attr("sid")
		iq.Children[0] = honest.Children[0].Clone()
		iq.Children[0].Set("sid", sid)
	}}}
	if kind != "session-initiate" {
		return all
	}
	return append(all, mutation{"envelope swapped with one of another transfer", func(iq *xmltree.Element) {
		where := func(e *xmltree.Element) *xmltree.Element {
			return e.Children[0].Child(jingle.NS, "content").Child(jingle.NSJET, "security")
		}
		where(iq).Children = where(honest).Clone().Children
	}})
}

// lyingStage is a sender and a receiver behind a server that lies.
type lyingStage struct {
	liar
	in, out       events
	dir, path     string
	juliet, romeo *Endpoint
}

func newLyingStage(t *testing.T) *lyingStage {
	t.Helper()
	s := prosody(t)
	st := &lyingStage{liar: liar{seen: map[string]*xmltree.Element{}}, dir: t.TempDir(), path: testFile(t, "something to keep")}
	tap := xmpptest.StartTap(t, s, st.rewrite)
	st.juliet = online(t, s, s.Addr, "juliet", true, st.in.report)
	st.romeo = online(t, s, tap.Addr, "romeo", false, st.out.report)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	return st
}

// send sends the file when nothing is left of the one before.
func (st *lyingStage) send(t *testing.T) error {
	t.Helper()
	waitIdle(t, st.juliet)
	st.in.reset()
	st.out.reset()
	for _, f := range list(t, st.dir) {
		if err := os.Remove(filepath.Join(st.dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st.stops(cancel)
	return st.romeo.Send(ctx, SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Minute})
}

// tries sends the file while one lie is told.
func (st *lyingStage) tries(t *testing.T, kind string, m mutation) {
	t.Helper()
	st.lie(kind, m.do)
	err := st.send(t)
	if st.told() == 0 {
		t.Errorf("%s: the stanza never passed", m.name)
	}
	if err == nil {
		t.Errorf("%s: sent", m.name)
	}
	if _, ok := last[event.Sent](&st.out); ok {
		t.Errorf("%s: event sent", m.name)
	}
	waitIdle(t, st.juliet)
	_, got := last[event.Received](&st.in)
	if kind != "receipt" && (got || len(list(t, st.dir)) > 0) {
		t.Errorf("%s: received (%v)", m.name, list(t, st.dir))
	}
	if f, ok := last[event.Failed](&st.out); ok && testing.Verbose() {
		fmt.Printf("%-16s %-80s %d %s\n", kind, m.name, f.Code, f.Reason)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".part") {
			continue // interrupted: nobody has received it
		}
		names = append(names, e.Name())
	}
	return names
}

// waitIdle waits until the receiver works on nothing any more.
func waitIdle(t *testing.T, e *Endpoint) {
	t.Helper()
	for range 12_000 { // a minute
		r := e.receiver.Load()
		if r == nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if r.work.Active() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the receiver does not come to rest")
}
