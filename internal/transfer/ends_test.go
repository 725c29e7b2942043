package transfer

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/xmpptest"
)

// ends is romeo with a file to send, and juliet with a directory for it.
type ends struct {
	romeo, juliet *Endpoint
	in, out       events // what juliet and romeo report
	dir, path     string
	data          []byte
}

// have makes the file and the directory.
func (st *ends) have(t *testing.T, data []byte) {
	t.Helper()
	st.dir, st.data, st.path = t.TempDir(), data, testFile(t, string(data))
}

// meet brings both online, romeo by way of addr. serves: he answers requests, too.
func (st *ends) meet(t *testing.T, s *xmpptest.Server, addr string, serves bool) {
	t.Helper()
	st.juliet = online(t, s, s.Addr, "juliet", true, st.in.report)
	st.romeo = online(t, s, addr, "romeo", serves, st.out.report)
}

// came fails unless the file is in the directory.
func (st *ends) came(t *testing.T) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(st.dir, "f"))
	if err != nil || !bytes.Equal(got, st.data) {
		t.Fatalf("received %d bytes of %d: %v", len(got), len(st.data), err)
	}
}

// whole fails unless nothing but the file is in the directory.
func (st *ends) whole(t *testing.T) {
	t.Helper()
	st.came(t)
	entries, err := os.ReadDir(st.dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v in the directory: %v", entries, err)
	}
}

// noise is what no pattern in a file can be mistaken for.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

// cutForGood makes a transfer that the relay's fault ends; romeo's daemon serves the
// rest, for which nobody asks. It returns the row that romeo has of it.
func (st *stage) cutForGood(t *testing.T) journal.Row {
	t.Helper()
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	stop()
	failed, _ := last[event.Failed](&st.out)
	row, err := st.romeo.journal.Load(t.Context(), journal.Key{ID: failed.Transfer, Direction: journal.Send})
	if err != nil {
		t.Fatal(err)
	}
	st.through(t)
	return row
}
