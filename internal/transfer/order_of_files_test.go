package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// TestArgumentsInOrder: several files are offered in the order in which they were named,
// however large they are.
func TestArgumentsInOrder(t *testing.T) {
	s := prosody(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	var files []source.Named
	var want []string
	for i := range 12 {
		name := fmt.Sprintf("%02d", (i*7)%12) // no order of names
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, make([]byte, (12-i)<<12), 0o600); err != nil {
			t.Fatal(err)
		}
		files, want = append(files, source.Named{Path: path}), append(want, name)
	}
	if err := romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: files, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	var got []string
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, ev := range in.all {
		if offer, ok := ev.(event.Offer); ok {
			got = append(got, offer.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("offered %q, want %q", got, want)
	}
}
