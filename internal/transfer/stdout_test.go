package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// poured are what a run that writes to an output leaves when it dies at each point
// after the last byte went there.
var poured = map[string]struct{ part, complete bool }{
	"placed":    {true, false},
	"discarded": {false, false},
	"complete":  {false, true},
}

// TestPourCut: what went to an output whole is done, wherever the process died after
// that. Nobody gets a path that is none, and the sender gets the receipt instead of
// being asked for the bytes again.
func TestPourCut(t *testing.T) {
	s := prosody(t)
	h, runs := counting(t)
	var in, out events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, out.report)
	dir, data := t.TempDir(), tarOf(t)
	var rows []journal.Row
	for _, manifest := range [][]byte{nil, bytes.Repeat([]byte{1}, sha256.Size)} {
		for name, tt := range poured {
			row := journal.Row{
				Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
				Name: name, Dir: dir, Size: int64(len(data)), Source: journal.SourceOf(manifest), Manifest: manifest, Keys: [][]byte{romeo.omemo.IdentityKey()},
			}
			part := filepath.Join(dir, ".jetsend-"+row.ID+".part")
			if tt.part {
				if err := os.WriteFile(part, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b, err := juliet.journal.Begin(t.Context(), row)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(b.Run(t.Context()), b.Pour(nil))
			if tt.complete {
				err = errors.Join(err, b.Complete())
			}
			if err = errors.Join(err, b.Release()); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
	}
	byHand := rows[0].Key
	if poured[rows[0].Name].complete {
		byHand = rows[1].Key
	}
	if err := juliet.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{byHand}, Named: true}); err != nil {
		t.Fatal(err)
	}
	stop := receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts, Hook: h})
	eventually(t, func() bool { return count[event.Received](&in) == 4 }) // the others were reported in their own run
	in.mu.Lock()
	for _, ev := range in.all {
		if r, is := ev.(event.Received); is && (r.Path != event.StandardOutput || r.Size != int64(len(data))) {
			t.Errorf("%+v", r)
		}
	}
	in.mu.Unlock()
	for _, row := range rows {
		src := &source.Source{Name: row.Name}
		if row.Manifest != nil {
			src.Tree = &source.Tree{Manifest: row.Manifest}
		}
		if code := offeredBy(t, romeo, src, data, row.ID); code != exitcode.OK {
			t.Errorf("%s: the sender ended with %d", row.Name, code)
		}
	}
	if n := count[event.Negotiated](&out); n > 0 {
		t.Errorf("%d went over the wire again", n)
	}
	stop() // hooks are waited for
	if n := count[event.Received](&in); n != 4 {
		t.Errorf("received reported %d times", n)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v %v", entries, err)
	}
	if got := runs(); got != "" {
		t.Errorf("the hook ran for %q", got)
	}
}

// TestPour: the order of what a run does that writes to an output. Before the last
// byte is written nothing is placed, so that a cut gives all of it once more; one while
// the output takes nothing, too.
func TestPour(t *testing.T) {
	s := prosody(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	dir, id := t.TempDir(), uuid.NewString()
	key := journal.Key{ID: id, Direction: journal.Receive}
	pourStuck(t, juliet, romeo, dir, key)
	out := &watched{look: func() {
		row, err := juliet.journal.Load(t.Context(), key)
		if err != nil || row.Phase.Verified() || row.Released {
			t.Errorf("while it is written: %+v, %v", row, err)
		}
	}}
	ended := make(chan error, 1)
	go func() {
		ended <- juliet.Receive(t.Context(), ReceiveOptions{Dir: dir, Accept: policy.Contacts, Once: true, Out: out, Drain: time.Minute})
	}()
	takesOffers(t, juliet)
	if code := offeredBy(t, romeo, &source.Source{Name: "f"}, []byte("abc"), id); code != exitcode.OK {
		t.Fatalf("exit code %d", code)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	row, err := juliet.journal.Load(t.Context(), key)
	if err != nil || !row.Released || row.Phase != journal.PhasePoured {
		t.Errorf("%+v, %v", row, err)
	}
	if r, _ := last[event.Received](&in); r.Path != event.StandardOutput || out.got.String() != "abc" {
		t.Errorf("%+v, %q", r, out.got.String())
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v %v", entries, err)
	}
}

// pourStuck has a run end whose output nobody reads. The transfer is parked, and
// nothing of it is lost.
func pourStuck(t *testing.T, juliet, romeo *Endpoint, dir string, key journal.Key) {
	t.Helper()
	r, w := io.Pipe()
	begun := make(chan struct{})
	out := writerFunc(func(b []byte) (int, error) {
		close(begun)
		return w.Write(b)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended, sent := make(chan error, 1), make(chan exitcode.Code, 1)
	go func() {
		ended <- juliet.Receive(ctx, ReceiveOptions{Dir: dir, Accept: policy.Contacts, Once: true, Out: out, Drain: time.Minute})
	}()
	go func() { sent <- offeredBy(t, romeo, &source.Source{Name: "f"}, []byte("abc"), key.ID) }()
	<-begun
	cancel(fault.ErrTerminated)
	stopped(t, ended)
	if code := <-sent; code == exitcode.OK {
		t.Error("the sender was told that the file is there")
	}
	row, err := juliet.journal.Load(t.Context(), key)
	if err != nil || row.State != journal.Interrupted || row.Phase.Verified() {
		t.Errorf("after a run that could not write: %+v, %v", row, err)
	}
	if err := r.Close(); err != nil { // lets the writer go
		t.Fatal(err)
	}
}

// writerFunc is a function as an output.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// watched is an output that looks around with every write.
type watched struct {
	got  bytes.Buffer
	look func()
}

func (w *watched) Write(b []byte) (int, error) {
	w.look()
	return w.got.Write(b)
}
