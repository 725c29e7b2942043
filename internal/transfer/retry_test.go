package transfer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
	"jetsend/internal/xmpptest"
)

// TestAdvance: a session that brings bytes is progress, also after the receiver
// has lost what it had; but not for ever.
func TestAdvance(t *testing.T) {
	r := retry{farthest: 500}
	for i, tt := range []struct {
		from, durable int64
		want          bool
	}{
		{500, 500, false}, // nothing came
		{500, 600, true},
		{600, 600, false},
		{0, 128, true}, // it was lost, and comes again
		{128, 256, true},
		{256, 256, false},
		{0, 0, false}, // lost again, and nothing came
		{0, 128, true},
		{0, 128, false}, // the same once more is going round in circles
		{0, 256, true},
	} {
		if got := r.advance(tt.from, tt.durable); got != tt.want {
			t.Errorf("step %d, from %d to %d: %v", i, tt.from, tt.durable, got)
		}
	}
}

// TestLostPart: a receiver that has lost what it had of a file of several sessions
// gets it anew, whoever opens the sessions, and without a failure in between.
func TestLostPart(t *testing.T) {
	for _, by := range []journal.Direction{journal.Send, journal.Receive} {
		t.Run(string(by)+" resumes", func(t *testing.T) {
			st := setStage(t, 1<<20, xmpptest.CutAt(100<<10))
			st.romeo.cfg.SessionLimit = 128 << 10
			stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: AcceptContacts})
			receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
			wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
			waitIdle(t, st.juliet)
			failed, _ := last[Failed](&st.out)
			parts, err := filepath.Glob(filepath.Join(st.dir, ".jetsend-*.part"))
			if err != nil || len(parts) != 1 {
				t.Fatal(parts, err)
			}
			if err := os.Remove(parts[0]); err != nil {
				t.Fatal(err)
			}
			e := st.romeo
			if by == journal.Receive {
				stop()
				e = st.juliet
			}
			// As when it had come farther than one session brings.
			for _, e := range []*Endpoint{st.romeo, st.juliet} {
				if _, err := e.db.ExecContext(t.Context(), `UPDATE transfers SET durable = 640*1024`); err != nil {
					t.Fatal(err)
				}
			}
			st.through(t)
			err = e.Resume(t.Context(), ResumeOptions{
				Transfers: []journal.Key{{ID: failed.Transfer, Direction: by}}, Named: true, Wait: 10 * time.Second,
				Route: RouteOptions{Transports: []string{S5B}},
			})
			if err != nil {
				t.Fatal(err)
			}
			waitIdle(t, st.romeo)
			if by == journal.Send {
				waitIdle(t, st.juliet)
			}
			st.whole(t)
		})
	}
}
