package transfer

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// word is what a stanza says in a session: the action, or the name of what a
// session-info holds; "" for other stanzas and for answers.
func word(iq *xmltree.Element) string {
	j := iq.Child(jingle.NS, "jingle")
	if j.Attr("action") == "session-info" && len(j.Children) > 0 {
		return j.Children[0].Name.Local
	}
	return j.Attr("action")
}

// disorder decides what goes on in the place of a stanza, of which said is the word.
type disorder func(dir xmpptest.Direction, said string, iq *xmltree.Element, raw []byte) [][]byte

// orderStage is two endpoints and a server that says things to and for romeo in an
// order of its own.
type orderStage struct {
	ends
	tap *xmpptest.Tap

	mu      sync.Mutex
	said    []string // words that passed
	answers []string // of romeo to what was forged
	do      disorder // nil: an honest server
}

func newOrderStage(t *testing.T) *orderStage {
	t.Helper()
	s := prosody(t)
	st := &orderStage{}
	st.tap = xmpptest.StartTap(t, s, st.rewrite)
	st.have(t, noise(30_001))
	st.meet(t, s, st.tap.Addr, false)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: RetryOptions{Retries: 5, For: time.Minute}})
	return st
}

func (st *orderStage) rewrite(dir xmpptest.Direction, raw []byte) [][]byte {
	iq, err := xmltree.Parse(raw)
	if err != nil {
		return [][]byte{raw}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if dir == xmpptest.ToServer && iq.Attr("id") == "forged" {
		st.answers = append(st.answers, iq.String())
		return nil // nobody has asked
	}
	said := word(iq)
	if said != "" {
		st.said = append(st.said, said)
	}
	if st.do == nil {
		return [][]byte{raw}
	}
	return st.do(dir, said, iq, raw)
}

func (st *orderStage) lie(do disorder) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.do = do
}

// heard returns what passed, and how romeo answered what was forged.
func (st *orderStage) heard() (said, answers []string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.Clone(st.said), slices.Clone(st.answers)
}

func (st *orderStage) send(t *testing.T, how dialect.Choice, transport string) error {
	t.Helper()
	err := st.romeo.Send(t.Context(), SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Minute,
		Encryption: how, Route: route.Options{Transports: []string{transport}},
	})
	waitIdle(t, st.juliet)
	return err
}

// once fails unless the file came exactly once, and was said to exactly once.
func (st *orderStage) once(t *testing.T) {
	t.Helper()
	st.whole(t)
	if r, s := count[event.Received](&st.in), count[event.Sent](&st.out); r != 1 || s != 1 {
		t.Errorf("%d received, %d sent", r, s)
	}
	if i, f := count[event.Interrupted](&st.out)+count[event.Interrupted](&st.in), count[event.Failed](&st.in); i+f > 0 {
		t.Errorf("%d interrupted, %d failed", i, f)
	}
}

// TestEveryWordTwice: a server that says every word of a session twice, both ways,
// the offer, the accept, the checksum, the receipt and the end among them, changes
// nothing: the file comes once, and is said once to have come.
func TestEveryWordTwice(t *testing.T) {
	for _, how := range []dialect.Choice{dialect.ChooseBest, dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		for _, transport := range []string{route.S5B, route.IBB} {
			t.Run(cmp.Or(string(how), "auto")+" "+transport, func(t *testing.T) {
				st := newOrderStage(t)
				st.romeo.cfg.SessionLimit = 20_000 // so that there is a checksum
				st.lie(func(_ xmpptest.Direction, said string, _ *xmltree.Element, raw []byte) [][]byte {
					if said == "" {
						return [][]byte{raw}
					}
					return [][]byte{raw, raw}
				})
				if err := st.send(t, how, transport); err != nil {
					t.Fatal(err)
				}
				st.once(t)
				want := []string{"session-initiate", "session-accept", "session-terminate"}
				switch how {
				case dialect.ChooseBest:
					want = append(want, "checksum", "received")
				case dialect.ChooseEncryptedFile:
					want = append(want, "checksum")
				}
				said, _ := st.heard()
				for _, w := range want {
					if !slices.Contains(said, w) {
						t.Errorf("no %s among %q", w, said)
					}
				}
			})
		}
	}
}

// TestMidStream: a second accept, and another transport, in the middle of the stream
// are refused as out of order, and the stream goes on.
func TestMidStream(t *testing.T) {
	for action, contents := range map[string][]*xmltree.Element{
		"session-accept": nil, "transport-replace": {ibb.NewTransport(4096).Element()}, "transport-accept": {ibb.NewTransport(4096).Element()},
	} {
		t.Run(action, func(t *testing.T) {
			st := newOrderStage(t)
			var accept *xmltree.Element
			st.lie(func(dir xmpptest.Direction, said string, iq *xmltree.Element, raw []byte) [][]byte {
				switch {
				case said == "session-accept":
					accept = iq.Clone()
				case dir == xmpptest.ToServer && iq.Child(ibb.NS, "data") != nil && accept != nil:
					j := accept.Set("id", "forged").Child(jingle.NS, "jingle").Set("action", action)
					if contents != nil {
						j.Child(jingle.NS, "content").Children = contents
					}
					if err := st.tap.Inject(xmpptest.ToClient, accept.Append(nil, "")); err != nil {
						t.Error(err)
					}
					accept = nil
				}
				return [][]byte{raw}
			})
			if err := st.send(t, dialect.ChooseBest, route.IBB); err != nil {
				t.Fatal(err)
			}
			st.once(t)
			if _, answers := st.heard(); len(answers) != 1 || !strings.Contains(answers[0], "out-of-order") {
				t.Errorf("answered %q", answers)
			}
		})
	}
}

// TestEndBeforeReceipt: a success that comes before the receipt proves nothing, and a
// receipt after the end is nobody's. The next offer gets one.
func TestEndBeforeReceipt(t *testing.T) {
	st := newOrderStage(t)
	st.lie(func(dir xmpptest.Direction, said string, iq *xmltree.Element, raw []byte) [][]byte {
		if said != "received" {
			return [][]byte{raw}
		}
		end := iq.Clone().Set("id", "forged")
		j := end.Child(jingle.NS, "jingle").Set("action", "session-terminate")
		j.Children = []*xmltree.Element{jingle.Reason{Condition: jingle.Success}.Element()}
		return [][]byte{end.Append(nil, ""), raw}
	})
	wantCode(t, st.send(t, dialect.ChooseBest, route.S5B), exitcode.Interrupted)
	if _, ok := last[event.Sent](&st.out); ok {
		t.Error("sent")
	}
	if f, _ := last[event.Failed](&st.out); !f.Resumable {
		t.Errorf("%+v", f)
	}
	st.lie(nil)
	if err := st.send(t, dialect.ChooseBest, route.S5B); err != nil {
		t.Fatal(err)
	}
	st.once(t)
}
