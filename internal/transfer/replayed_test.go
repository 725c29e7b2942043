package transfer

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// taping is a server that keeps the offer made to juliet, and later answers for romeo,
// who is away.
type taping struct {
	mu    sync.Mutex
	away  bool
	offer *xmltree.Element
	tap   *xmpptest.Tap
	heard chan jingle.Reason // the ends of sessions that juliet says
	took  bool               // she accepted something
}

func (v *taping) rewrite(dir xmpptest.Direction, raw []byte) [][]byte {
	x, err := xmltree.Parse(raw)
	if err != nil || x.Name.Local != "iq" {
		return [][]byte{raw}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case dir == xmpptest.ToClient && word(x) == "session-initiate" && v.offer == nil:
		v.offer = x.Clone()
	case dir == xmpptest.ToServer && v.away && strings.HasPrefix(x.Attr("to"), "romeo@jet.test/"):
		answer := xmltree.New("jabber:client", "iq").Set("type", "result").Set("id", x.Attr("id")).Set("from", x.Attr("to")).Set("to", x.Attr("from"))
		go func() { _ = v.tap.Inject(xmpptest.ToClient, answer.Append(nil, "")) }()
		switch word(x) {
		case "session-accept":
			v.took = true
		case "session-terminate":
			v.heard <- jingle.ParseReason(x.Children[0].Child(jingle.NS, "reason"))
		}
		return nil
	}
	return [][]byte{raw}
}

// TestReplayedOffer: a server plays an offer back whose file was received, when the
// sender is away and the receiver's row has expired: it is refused, whatever form it
// has. The envelope does not open; and should it ever open again, as it does when
// the receiver's keys are put back to what they were, what was received is known.
func TestReplayedOffer(t *testing.T) {
	for _, how := range []dialect.Choice{dialect.ChooseBest, dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		t.Run(cmp.Or(string(how), "auto"), func(t *testing.T) {
			s := prosody(t)
			v := &taping{heard: make(chan jingle.Reason, 10)}
			v.tap = xmpptest.StartTap(t, s, v.rewrite)
			var in, out events
			dir := t.TempDir()
			juliet := online(t, s, v.tap.Addr, "juliet", true, in.report)
			romeo := online(t, s, s.Addr, "romeo", false, out.report)
			sql := func(e *Endpoint, all ...string) {
				t.Helper()
				for _, query := range all {
					if _, err := e.db.ExecContext(t.Context(), query); err != nil {
						t.Fatal(query, err)
					}
				}
			}
			sql(juliet, `CREATE TABLE old_prekeys AS SELECT * FROM prekeys`)
			receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts, KeepFor: time.Hour})
			err := romeo.Send(t.Context(), SendOptions{
				To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "allow: everybody")}}, Wait: time.Minute,
				Encryption: how, AnswerTimeout: time.Minute, Route: route.Options{Transports: []string{route.IBB}},
			})
			if err != nil {
				t.Fatal(err)
			}
			waitIdle(t, juliet)
			played := 0
			play := func(when string, want exitcode.Code) {
				t.Helper()
				in.reset()
				v.mu.Lock()
				v.away = true
				x := v.offer.Clone().Set("id", fmt.Sprint("replay", played))
				v.mu.Unlock()
				played++
				if err := v.tap.Inject(xmpptest.ToClient, x.Append(nil, "")); err != nil {
					t.Fatal(err)
				}
				select {
				case r := <-v.heard:
					if c := fault.Of(&fault.Ended{Reason: r}).CodeAt(false); r.Condition == jingle.Success || c != exitcode.Untrusted && c != exitcode.Declined {
						t.Errorf("%s: ended with %+v", when, r)
					}
				case <-time.After(time.Minute):
					t.Fatalf("%s: no answer", when)
				}
				waitIdle(t, juliet)
				early, _ := last[event.FailedEarly](&in)
				late, _ := last[event.Failed](&in)
				if got := max(early.Code, late.Code); got != int(want) || v.took || count[event.Received](&in) > 0 || len(list(t, dir)) != 1 {
					t.Errorf("%s: %+v, %+v, accepted: %t, in the directory: %v", when, early, late, v.took, list(t, dir))
				}
			}
			play("at once", exitcode.Untrusted)
			const back = `INSERT OR REPLACE INTO prekeys SELECT * FROM old_prekeys`
			const month int64 = 31 * 24 * 60 * 60 * 1000
			old := fmt.Sprintf(`UPDATE transfers SET created = created - %[1]d, updated = updated - %[1]d, moved = moved - %[1]d, finished = finished - %[1]d`, month)
			known := exitcode.Declined // a jetsend may not have heard of the end
			if how != dialect.ChooseBest {
				known = exitcode.Integrity
				sql(juliet, back, `DELETE FROM sessions`)
				play("with the keys of before", known)
			}
			sql(juliet, back, `DELETE FROM sessions`, old)
			juliet.rows().Expire(t.Context(), time.Hour)
			if n := rowsLeft(t, juliet); n != 0 {
				t.Fatalf("%d rows are left", n)
			}
			play("with the keys of before, when the row has expired", known)
		})
	}
}

// rowsLeft is how many transfers the journal has.
func rowsLeft(t *testing.T, e *Endpoint) (n int) {
	t.Helper()
	if err := e.db.QueryRowContext(t.Context(), `SELECT count(*) FROM transfers`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
