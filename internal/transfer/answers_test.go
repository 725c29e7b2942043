package transfer

import (
	"context"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// mute is a server that acknowledges everything.
type mute struct{}

func (mute) IQ(context.Context, jid.JID, stanza.IQType, *xmltree.Element) (*xmltree.Element, error) {
	return nil, nil
}

// TestPatience: how long an answer may take, and what its failing to come means,
// depends on whether somebody has to give it.
func TestPatience(t *testing.T) {
	const size = 100 << 30
	work := receiptTime + size/checkRate*time.Second
	self, peer := jid.MustParse("romeo@jet.test/a"), jid.MustParse("juliet@jet.test/b")
	for name, tt := range map[string]struct {
		timeout  time.Duration
		form     dialect.Form
		accepted bool
		want     time.Duration
		code     exitcode.Code
	}{
		"asked":                        {time.Minute, dialect.FormJetsend, false, time.Minute, exitcode.Declined},
		"asked, for ever":              {0, dialect.FormJetsend, false, 0, exitcode.Declined},
		"accepted before":              {time.Minute, dialect.FormJetsend, true, work, exitcode.Interrupted},
		"accepted before, more time":   {time.Hour, dialect.FormJetsend, true, work - receiptTime + time.Hour, exitcode.Interrupted},
		"accepted before, for ever":    {0, dialect.FormJetsend, true, 0, exitcode.Interrupted},
		"accepted by another's client": {time.Minute, dialect.FormJET, true, time.Minute, exitcode.Declined},
	} {
		t.Run(name, func(t *testing.T) {
			o := &offering{
				upload: upload{src: &source.Source{Size: size}, row: &journal.Handle{}, form: tt.form, accepted: tt.accepted},
				opt:    SendOptions{AnswerTimeout: tt.timeout},
			}
			if got := o.patience(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
			m := jingle.NewManager(jingle.Config{Port: mute{}, Self: func() jid.JID { return self }})
			s, err := m.Initiate(t.Context(), peer, jingle.NewSID(), jingle.Content{
				Creator: jingle.SenderInitiator, Name: dialect.ContentName, Description: jingle.Description(&jingle.File{}), Transport: xmltree.New("urn:t", "transport"),
			})
			if err != nil {
				t.Fatal(err)
			}
			c := talkIn(t, s, tt.form)
			late := make(chan time.Time, 1)
			late <- time.Now()
			err = o.awaitAccept(c, late)
			if code := fault.Of(err).CodeAt(false); code != tt.code {
				t.Errorf("code %d: %v", code, err)
			}
		})
	}
}

// TestSuccessForAnswer: of a jetsend, whose receipt may be lost, success in the place of
// an accept is unconfirmed and asked for again; of others it is a lie, told before a byte
// was sent.
func TestSuccessForAnswer(t *testing.T) {
	self, peer := jid.MustParse("romeo@jet.test/a"), jid.MustParse("juliet@jet.test/b")
	for f, want := range map[dialect.Form]exitcode.Code{dialect.FormJetsend: exitcode.Interrupted, dialect.FormJET: exitcode.Integrity, dialect.FormPlaintext: exitcode.Integrity} {
		m := jingle.NewManager(jingle.Config{Port: mute{}, Self: func() jid.JID { return self }})
		s, err := m.Initiate(t.Context(), peer, jingle.NewSID(), jingle.Content{
			Creator: jingle.SenderInitiator, Name: dialect.ContentName, Description: jingle.Description(&jingle.File{}), Transport: xmltree.New("urn:t", "transport"),
		})
		if err != nil {
			t.Fatal(err)
		}
		o := &offering{upload: upload{src: &source.Source{}, row: &journal.Handle{}, form: f}}
		c := talkIn(t, s, f)
		done := xmltree.New(jingle.NS, "jingle", jingle.Reason{Condition: jingle.Success}.Element()).
			Set("action", string(jingle.SessionTerminate)).Set("sid", s.ID())
		if _, err := m.HandleIQ(t.Context(), stanza.IQ{From: peer, Type: stanza.Set, Payload: done}); err != nil {
			t.Fatal(err)
		}
		err = o.awaitAccept(c, nil)
		if code := fault.Of(err).CodeAt(false); code != want {
			t.Errorf("form %d: code %d: %v", f, code, err)
		}
	}
}

// TestAnswerTimeoutResumed: the time that a person may take to answer is not that of
// a program which reads what it has.
func TestAnswerTimeoutResumed(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	hasty := SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Nanosecond,
		Route: route.Options{Transports: []string{route.S5B}},
	}
	wantCode(t, st.romeo.Send(t.Context(), hasty), exitcode.Declined)
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	st.through(t)
	if err := st.romeo.Send(t.Context(), hasty); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
}

// TestServantGone: a receiver that waits for the answer to a request notices
// that the other process has ended without a word, long before its time is over.
func TestServantGone(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	tap := xmpptest.StartTap(t, st.server, nil)
	cfg := st.romeo.cfg.S5B
	st.romeo = online(t, st.server, tap.Addr, "romeo", true, st.out.report)
	listenAs(st.romeo, cfg)
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	stopServing := receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	stop()
	failed, _ := last[event.Failed](&st.out)
	tap.SetRewrite(losing("session-accept", "session-terminate"))
	ended := make(chan error, 1)
	go func() {
		ended <- st.juliet.Resume(t.Context(), ResumeOptions{
			Transfers: []journal.Key{{ID: failed.Transfer, Direction: journal.Receive}}, Named: true, Wait: time.Minute,
		})
	}()
	_, err := tap.Wait(t.Context(), func(s xmpptest.Stanza) bool {
		return s.Dir == xmpptest.ToServer && contains(s.Raw, "session-accept")
	})
	if err != nil {
		t.Fatal(err)
	}
	stopServing()
	wantCode(t, <-ended, exitcode.Interrupted)
	if f, _ := last[event.Failed](&st.in); f.Reason != fault.ErrPeerGone.Error() {
		t.Errorf("%+v", f)
	}
}
