package transfer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// TestAskForAnotherName: a yes is for the name that was shown. The contact who cuts the
// session and offers the rest under another one has to be said yes to again.
func TestAskForAnotherName(t *testing.T) {
	st := setStage(t, 4<<20, xmpptest.CutAt(1<<20))
	var asked []string
	var yes atomic.Bool
	yes.Store(true)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Ask, Ask: func(_ context.Context, q Question) (bool, error) {
		asked = append(asked, q.Name)
		return yes.Load(), nil
	}, Retry: RetryOptions{Retries: 9, For: time.Minute}})
	opt := SendOptions{
		To: jid.MustParse("juliet@jet.test"), Wait: time.Minute, AnswerTimeout: time.Minute, Route: route.Options{Transports: []string{route.S5B}},
	}
	id := ""
	offer := func(name string, want exitcode.Code) {
		t.Helper()
		src, err := source.Open(t.Context(), source.Named{Path: st.path, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close(src)
		o := st.romeo.offering(opt, src, nil)
		peers, err := st.romeo.choose(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		if code := o.start(t.Context(), peers, id); code != want {
			t.Fatalf("%s: code %d, want %d", name, code, want)
		}
		id = o.head.Transfer
		waitIdle(t, st.juliet)
	}
	offer("photo.jpg", exitcode.Interrupted)
	yes.Store(false)
	st.through(t)
	offer("evil.desktop", exitcode.Declined)
	if names := list(t, st.dir); len(names) > 0 {
		t.Errorf("a no, and %v", names)
	}
	st.through(t, xmpptest.CutAt(1<<20))
	offer("photo.jpg", exitcode.Interrupted) // the yes still holds
	yes.Store(true)
	st.through(t, xmpptest.CutAt(1<<20))
	offer("other.jpg", exitcode.Interrupted)
	yes.Store(false)
	st.through(t)
	offer("other.jpg", exitcode.OK) // this one had its yes, too
	if want := []string{"photo.jpg", "evil.desktop", "other.jpg"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
	if names := list(t, st.dir); !slices.Equal(names, []string{"other.jpg"}) {
		t.Errorf("received %q", names)
	}
	got, err := os.ReadFile(filepath.Join(st.dir, "other.jpg"))
	if err != nil || !bytes.Equal(got, st.data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
