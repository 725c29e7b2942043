package transfer

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestBothAtOnce: sender and receiver take up the same transfer at the same time.
// The file arrives once, and no end says anything else.
func TestBothAtOnce(t *testing.T) {
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	failed, _ := last[event.Failed](&st.out)
	st.through(t)
	st.in.reset()
	st.out.reset()
	var wg sync.WaitGroup
	errs := map[journal.Direction]error{}
	var mu sync.Mutex
	for dir, e := range map[journal.Direction]*Endpoint{journal.Send: st.romeo, journal.Receive: st.juliet} {
		wg.Go(func() {
			err := e.Resume(t.Context(), ResumeOptions{
				Transfers: []journal.Key{{ID: failed.Transfer, Direction: dir}}, Named: true, Wait: time.Minute,
				Retry: RetryOptions{Retries: 5, For: time.Minute}, Route: route.Options{Transports: []string{route.S5B}},
			})
			mu.Lock()
			defer mu.Unlock()
			errs[dir] = err
		})
	}
	wg.Wait()
	waitIdle(t, st.romeo)
	st.arrived(t)
	running := 0
	for dir, err := range errs {
		var f *fault.Failure
		switch {
		case errors.As(err, &f) && f.Code == exitcode.LocalFile: // the other end's session is here already
			running++
		case err != nil:
			failed, _ := last[event.Failed](map[journal.Direction]*events{journal.Send: &st.out, journal.Receive: &st.in}[dir])
			t.Errorf("%s: %v: %s", dir, err, failed.Reason)
		}
	}
	if running > 1 {
		t.Error("each end says that the other one's session is running")
	}
	if count[event.Sent](&st.out) != 1 {
		t.Errorf("sent reported %d times", count[event.Sent](&st.out))
	}
	if n := carried(st.relay); n > 1<<19+1<<17 {
		t.Errorf("%d bytes for the second half", n)
	}
}

// TestSupersede: the sender's process is gone without a word and its session still
// hangs, in the middle of an in-band stream. The new offer for the transfer takes
// its place.
func TestSupersede(t *testing.T) {
	s := prosody(t)
	var dead atomic.Bool
	data := regexp.MustCompile(`<data[^>]*xmlns=.http://jabber.org/protocol/ibb`)
	blocks := 0
	tap := xmpptest.StartTap(t, s, func(dir xmpptest.Direction, raw []byte) [][]byte {
		if dir == xmpptest.ToServer && data.Match(raw) {
			if blocks++; blocks > 300 {
				dead.Store(true)
			}
		}
		if dead.Load() && dir == xmpptest.ToServer {
			return nil
		}
		return [][]byte{raw}
	})
	st := &stage{server: s}
	st.have(t, make([]byte, 2<<20))
	st.juliet = online(t, s, s.Addr, "juliet", true, st.in.report)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: RetryOptions{Retries: 5, For: time.Minute}})
	state := t.TempDir()
	old := onlineIn(t, state, s, tap.Addr, "romeo", false, nil)
	opt := SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Minute,
		Route: route.Options{Transports: []string{route.IBB}},
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- old.Send(ctx, opt) }()
	eventually(t, dead.Load)
	cancel(fault.ErrTerminated)
	stopped(t, ended)
	// The stream of the dead process stays: nobody knows yet.
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = old.Close(context.Background()) // its goodbyes do not arrive
	}()
	<-closed
	if hangs := st.juliet.receiver.Load().actors.Len(); hangs != 1 {
		t.Fatalf("%d sessions hang", hangs)
	}
	st.romeo = onlineIn(t, state, s, s.Addr, "romeo", false, st.out.report)
	defer func() {
		if err := st.romeo.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := st.romeo.Send(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if r, ok := last[event.Resumed](&st.out); !ok || r.Offset < 1<<19 {
		t.Errorf("%+v", r)
	}
	if count[event.Received](&st.in) != 1 || count[event.Failed](&st.in) != 0 {
		t.Errorf("%d received, %d failed", count[event.Received](&st.in), count[event.Failed](&st.in))
	}
}

// TestEchoedRange: a range in another client's accept is no offer to go on: nothing
// there says that its bytes are ours.
func TestEchoedRange(t *testing.T) {
	s := prosody(t)
	hash := regexp.MustCompile(`<hash-used `)
	hits := 0
	tap := xmpptest.StartTap(t, s, func(dir xmpptest.Direction, raw []byte) [][]byte {
		if dir == xmpptest.ToClient && contains(raw, "session-accept") {
			hits++
			raw = hash.ReplaceAll(raw, []byte(`<range offset='100' length='50'/><hash-used `))
		}
		return [][]byte{raw}
	})
	st := &stage{server: s}
	st.have(t, noise(1<<10))
	st.meet(t, s, tap.Addr, false)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	err := st.romeo.Send(t.Context(), SendOptions{
		To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, Encryption: dialect.ChooseJET,
	})
	if err != nil || hits == 0 {
		t.Fatal(hits, err)
	}
	st.arrived(t)
	if r, ok := last[event.Resumed](&st.out); ok {
		t.Errorf("%+v", r)
	}
}

// TestSessionLimitResumed: a file larger than one secret carries, cut and taken up
// by either side, with the limit on either side.
func TestSessionLimitResumed(t *testing.T) {
	const limit = 256<<10 + 5
	for _, limited := range []journal.Direction{journal.Send, journal.Receive} {
		for _, by := range []journal.Direction{journal.Send, journal.Receive} {
			t.Run(string(limited)+" is limited, "+string(by)+" resumes", func(t *testing.T) {
				st := setStage(t, 2<<20+17, xmpptest.CutAt(200<<10))
				if limited == journal.Send {
					st.romeo.cfg.SessionLimit = limit
				} else {
					st.juliet.cfg.SessionLimit = limit
				}
				receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
				stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
				wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
				waitIdle(t, st.juliet)
				failed, _ := last[event.Failed](&st.out)
				st.through(t)
				e := st.romeo
				if by == journal.Receive {
					stop()
					e = st.juliet
				}
				st.in.reset()
				st.out.reset()
				err := e.Resume(t.Context(), ResumeOptions{
					Transfers: []journal.Key{{ID: failed.Transfer, Direction: by}}, Named: true, Wait: time.Minute,
					Retry: RetryOptions{Retries: 2, For: time.Minute}, Route: route.Options{Transports: []string{route.S5B}},
				})
				if err != nil {
					t.Fatal(err)
				}
				waitIdle(t, st.romeo)
				if by == journal.Send {
					waitIdle(t, st.juliet)
					stop()
				}
				st.whole(t)
				if in, out := count[event.Received](&st.in), count[event.Sent](&st.out); in != 1 || out != 1 || count[event.Failed](&st.in)+count[event.Failed](&st.out) > 0 {
					t.Errorf("%d received, %d sent", in, out)
				}
				if n := st.relay.Connections(); n < 7 {
					t.Errorf("%d sessions for 7.5 limits", n)
				}
			})
		}
	}
}
