package transfer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestStopWhileLooking: a receiver that is told to stop does not wait for a client that it
// asks what it can do, to ask it for the rest of a file.
func TestStopWhileLooking(t *testing.T) {
	s := prosody(t)
	asked := make(chan struct{}, 1)
	tap := xmpptest.StartTap(t, s, func(_ xmpptest.Direction, raw []byte) [][]byte {
		if text := string(raw); strings.Contains(text, "disco#info") && strings.Contains(text, "to='romeo@jet.test/") {
			select {
			case asked <- struct{}{}:
			default:
			}
			return nil // it never gets there
		}
		return [][]byte{raw}
	})
	romeo := online(t, s, s.Addr, "romeo", true, nil)
	receiving(t, romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	juliet := online(t, s, tap.Addr, "juliet", true, nil)
	dir := t.TempDir()
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	eventually(t, func() bool { return len(juliet.sess.Resources(jid.MustParse("romeo@jet.test"))) > 0 })
	r := juliet.receiver.Load()
	ended := make(chan error, 1)
	begun := time.Now()
	go func() {
		ended <- r.request(r.terms(), journal.Row{
			Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true, Dir: dir, Size: 3, Source: journal.SourceFile,
		})
	}()
	<-asked
	r.close(fault.ErrDrained)
	if err := <-ended; !errors.Is(err, fault.ErrDrained) {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
}

// TestStopWhileAsking: nor for the user, who was asked about an offer.
func TestStopWhileAsking(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	stop, ended, sent := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		ended <- juliet.Receive(t.Context(), ReceiveOptions{
			Dir: t.TempDir(), Accept: policy.Ask, Drain: time.Hour, Stop: stop,
			Ask: func(ctx context.Context, _ Question) (bool, error) {
				close(stop)
				<-ctx.Done()
				return false, context.Cause(ctx)
			},
		})
	}()
	go func() {
		sent <- romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: testFile(t, "text")}}, Wait: time.Minute})
	}()
	if err := <-ended; err != nil {
		t.Errorf("receive: %v", err)
	}
	wantCode(t, <-sent, exitcode.Interrupted) // it may be back in a moment
}
