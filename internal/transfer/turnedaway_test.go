package transfer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// TestTurnedAway: what the accept policy keeps out is told at this end, of a contact and
// now and then. The contact sees nobody, and strangers are not worth a word.
func TestTurnedAway(t *testing.T) {
	s := prosody(t)
	if err := errors.Join(s.AddAccount("tybalt", "tybaltpw"), s.Subscribe("romeo", "tybalt")); err != nil {
		t.Fatal(err)
	}
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	tybalt := online(t, s, s.Addr, "tybalt", false, nil)
	early := func() (all []event.FailedEarly) {
		in.mu.Lock()
		defer in.mu.Unlock()
		for _, ev := range in.all {
			if f, ok := ev.(event.FailedEarly); ok {
				all = append(all, f)
			}
		}
		return all
	}
	offer := func(e *Endpoint) {
		t.Helper()
		to, err := juliet.sess.JID(), error(nil)
		if err = e.sess.WaitOnline(t.Context()); err == nil {
			err = e.Send(t.Context(), SendOptions{To: to, Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Second})
		}
		wantCode(t, err, exitcode.Offline)
	}
	for i, tt := range []struct {
		opt       ReceiveOptions
		says, how string
	}{
		{ReceiveOptions{Accept: policy.Verified}, "no key of romeo@jet.test is verified", "jetsend trust verify romeo@jet.test"},
		{ReceiveOptions{Accept: policy.Contacts, From: []jid.JID{jid.MustParse("nurse@jet.test")}}, "--from", ""},
	} {
		tt.opt.Dir = t.TempDir()
		stop := receiving(t, juliet, tt.opt)
		offer(tybalt)
		offer(romeo)
		offer(romeo)
		eventually(t, func() bool { return len(early()) > i })
		all := early()
		f := all[len(all)-1]
		if len(all) != i+1 || f.Code != int(exitcode.Declined) || !strings.Contains(f.Reason, tt.says) || !strings.Contains(strings.Join(f.Hints, " "), tt.how) {
			t.Errorf("told %+v", all)
		}
		stop()
	}
}
