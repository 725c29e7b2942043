package transfer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
)

// TestOfferDuringSettle: an offer for a transfer whose release is being ended
// waits for that, and does the process no harm.
func TestOfferDuringSettle(t *testing.T) {
	st := setStage(t, 1)
	row := journal.Row{Key: journal.Key{ID: "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6", Direction: journal.Receive}, Keys: [][]byte{make([]byte, 33)}}
	row.Peer, row.Profile, row.Name = jid.MustParse("romeo@jet.test"), true, "f"
	row.Source = journal.SourceFile
	row.Dir = st.dir
	d := newDownload(&st.juliet.core, row, row.Peer, keeping{})
	if err := d.resume(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if err := newDownload(&st.juliet.core, row, row.Peer, keeping{}).resume(t.Context(), row); !errors.Is(err, journal.ErrRunning) {
		t.Error(err)
	}
	if err := d.sink.Close(); err != nil {
		t.Error(err)
	}
}

// TestOfferLongAfter: a transfer that was received too long ago for its receipt,
// but is still in the journal, is answered all the same.
func TestOfferLongAfter(t *testing.T) {
	st := setStage(t, 1000)
	const ever = 100 * 365 * 24 * time.Hour // the keeper may tidy up at any time
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, KeepFor: ever})
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	waitIdle(t, st.juliet)
	// As when the sender never heard of it, and the receiver has not tidied up yet.
	for e, change := range map[*Endpoint]string{st.juliet: `finished = 1`, st.romeo: `state = 'interrupted', released = 0, finished = NULL`} {
		if _, err := e.db.ExecContext(t.Context(), `UPDATE transfers SET `+change); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Declined)
	if f, _ := last[event.Failed](&st.out); !strings.Contains(f.Reason, "("+fault.DetailPolicy+")") { // rather than by patience
		t.Error(f.Reason)
	}
	st.arrived(t)
}
