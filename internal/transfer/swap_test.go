package transfer

import (
	"cmp"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// swapper is a server that holds one offer until the next one comes, and gives each
// the envelope of the other.
type swapper struct {
	mu    sync.Mutex
	on    bool
	held  *xmltree.Element
	swaps int
}

func (w *swapper) rewrite(dir xmpptest.Direction, raw []byte) [][]byte {
	iq, err := xmltree.Parse(raw)
	if err != nil || dir != xmpptest.ToServer || word(iq) != "session-initiate" {
		return [][]byte{raw}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.on:
		return [][]byte{raw}
	case w.held == nil:
		w.held = iq
		return nil
	}
	a, b := envelopeIn(w.held), envelopeIn(iq)
	for i := range a.Children {
		if a.Children[i].Name.Local != "file" { // that stands inside the envelope of the ProtoXEP
			a.Children[i], b.Children[i] = b.Children[i], a.Children[i]
		}
	}
	w.swaps++
	out := [][]byte{w.held.Append(nil, ""), iq.Append(nil, "")}
	w.held = nil
	return out
}

// envelopeIn finds the envelope of an offer, wherever it is.
func envelopeIn(x *xmltree.Element) *xmltree.Element {
	if x.Name.Local == "encrypted" {
		return x
	}
	for _, c := range x.Children {
		if e := envelopeIn(c); e != nil {
			return e
		}
	}
	return nil
}

// TestSwappedEnvelopes: the envelopes of two sessions, neither of them opened yet, each
// put into the other one. In our profile the sealed offer tells; in the other forms
// each file comes under a key that does not open it. A sender that is refused for the
// sake of security before the accept offers once more, and gets the same.
func TestSwappedEnvelopes(t *testing.T) {
	for _, how := range []dialect.Choice{dialect.ChooseBest, dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		t.Run(cmp.Or(string(how), "auto"), func(t *testing.T) {
			s := prosody(t)
			w := &swapper{}
			tap := xmpptest.StartTap(t, s, w.rewrite)
			var in, out events
			dir := t.TempDir()
			juliet := online(t, s, s.Addr, "juliet", true, in.report)
			romeo := online(t, s, tap.Addr, "romeo", true, out.report) // or nobody reads the answer
			receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
			send := func(name string, how dialect.Choice) error {
				return romeo.Send(t.Context(), SendOptions{
					To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "the text of "+name), Name: name}}, Wait: time.Minute,
					Encryption: how, AnswerTimeout: time.Minute, Route: route.Options{Transports: []string{route.S5B}},
				})
			}
			// The ratchet sessions stand: in our profile juliet answers in hers, soon. Else each
			// envelope would begin a session, maybe with a prekey that is used already.
			if err := send("honest", dialect.ChooseBest); err != nil {
				t.Fatal(err)
			}
			waitIdle(t, juliet)
			eventually(t, func() bool {
				var n int
				err := romeo.db.QueryRowContext(t.Context(), `SELECT count(*) FROM sessions WHERE jid = 'juliet@jet.test' AND NOT pending`).Scan(&n)
				return err == nil && n > 0
			})
			in.reset()
			out.reset()
			w.mu.Lock()
			w.on = true
			w.mu.Unlock()
			errs := make(chan error, 2)
			for _, name := range []string{"one", "two"} {
				go func() { errs <- send(name, how) }()
			}
			for range 2 {
				err := <-errs
				if err == nil {
					t.Error("sent")
				} else if f := fault.New(err, true); f.Code != exitcode.Integrity && f.Code != exitcode.Untrusted {
					t.Errorf("sender: %v", err)
				}
			}
			waitIdle(t, juliet)
			swaps := 1
			if how == dialect.ChooseBest {
				swaps = 2
			}
			if r, s := count[event.Received](&in), count[event.Sent](&out); w.swaps != swaps || r+s > 0 {
				t.Errorf("%d swaps, %d received, %d sent", w.swaps, r, s)
			}
			if n := count[event.Failed](&in) + count[event.FailedEarly](&in); n != 2*swaps {
				t.Errorf("the receiver saw %d of them fail", n)
			}
			early, _ := last[event.FailedEarly](&in)
			late, _ := last[event.Failed](&in)
			if max(early.Code, late.Code) != int(exitcode.Integrity) || late.Resumable || (early.Code == 0) == (late.Code == 0) {
				t.Errorf("receiver: %+v, %+v", early, late)
			}
			if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
				t.Errorf("in the directory: %v", names)
			}
		})
	}
}
