package transfer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/batch"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// threeFiles are a batch.
func threeFiles(t *testing.T) (files []source.Named) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Repeat(name, 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, source.Named{Path: path})
	}
	return files
}

// TestOnceIsOneBatch: --once takes all files of the batch that was said yes to, and
// nothing else, and ends with what became of all of them.
func TestOnceIsOneBatch(t *testing.T) {
	s := prosody(t)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	send := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: threeFiles(t), Wait: time.Minute, AnswerTimeout: time.Minute}
	for _, tt := range []struct {
		what     string
		taken    string // a name that is
		receives exitcode.Code
	}{
		{"all", "", exitcode.OK},
		{"but the first", "a", exitcode.LocalFile},
		{"but the last", "c", exitcode.LocalFile},
	} {
		juliet := onlineIn(t, t.TempDir(), s, s.Addr, "juliet", true, nil)
		dir := t.TempDir()
		if tt.taken != "" {
			if err := os.WriteFile(filepath.Join(dir, tt.taken), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan error, 1)
		asked := 0
		go func() {
			ended <- juliet.Receive(t.Context(), ReceiveOptions{
				Dir: dir, Accept: policy.Ask, Once: true, OnConflict: inbox.Skip, Drain: time.Minute,
				Ask: func(context.Context, Question) (bool, error) { asked++; return true, nil },
			})
		}()
		err, received := romeo.Send(t.Context(), send), <-ended
		for who, err := range map[string]error{"sender": err, "receiver": received} {
			code := exitcode.OK
			var f *fault.Failure
			if errors.As(err, &f) {
				code = f.Code
			}
			if code != tt.receives {
				t.Errorf("%s: the %s ends with %v", tt.what, who, err)
			}
		}
		if got, err := filepath.Glob(filepath.Join(dir, "?")); err != nil || len(got) != 3 || asked != 1 {
			t.Errorf("%s: there are %q; asked %d times (%v)", tt.what, got, asked, err)
		}
		if err := juliet.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestOnceTakesNoOther: what is offered beside the batch is declined, without a question
// when it has waited for one.
func TestOnceTakesNoOther(t *testing.T) {
	s := prosody(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	var asked atomic.Int64
	ended := make(chan error, 1)
	go func() {
		ended <- juliet.Receive(t.Context(), ReceiveOptions{
			Dir: t.TempDir(), Accept: policy.Ask, Once: true, Drain: time.Minute,
			Ask: func(context.Context, Question) (bool, error) {
				asked.Add(1)
				r := juliet.receiver.Load()
				eventually(t, func() bool { return r.work.Waiting() == 2 })
				return true, nil
			},
		})
	}()
	takesOffers(t, juliet)
	sent := make(chan error, 2)
	for range 2 {
		romeo := online(t, s, s.Addr, "romeo", false, nil)
		go func() {
			sent <- romeo.Send(t.Context(), SendOptions{To: jid.MustParse("juliet@jet.test"), Files: threeFiles(t)[:1], Wait: time.Minute, AnswerTimeout: time.Minute})
		}()
	}
	refused := 0
	for range 2 {
		var f *fault.Failure
		if err := <-sent; errors.As(err, &f) && f.Code == exitcode.Declined {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; err != nil || refused != 1 || asked.Load() != 1 {
		t.Errorf("received: %v; %d refused, asked %d times", err, refused, asked.Load())
	}
	if f, ok := last[event.Failed](&in); !ok || !f.Declined || !strings.Contains(f.Reason, "one batch") {
		t.Errorf("the receiver says of the other %+v", f)
	}
}

// TestOnceLacks: a batch of which files are missing is given up when nothing is looked
// at, and the run says how many.
func TestOnceLacks(t *testing.T) {
	r := &receiver{once: batch.NewOnce()}
	key := batch.KeyOf(jid.MustParse("romeo@jet.test"), "b", "")
	r.once.Claim(batch.File{Key: key, Transfer: "x", Count: 3})
	r.once.Missed(batch.File{Key: key, Transfer: "y", Count: 3}, exitcode.OK)
	r.once.End("x", exitcode.OK)
	r.work.Session(func() {})
	if n := r.lacks(); n != 0 {
		t.Errorf("lacks %d while one is looked at", n)
	}
	r.work.Decided()
	n := r.lacks()
	var f *fault.Failure
	if err := r.incomplete(n); n != 1 || !errors.As(err, &f) || f.Code != exitcode.Interrupted || f.Reported {
		t.Errorf("lacks %d: %v", n, err)
	}
}

// TestOutputIsForOneFile: standard output takes one file; a batch is declined as a whole,
// and the run goes on.
func TestOutputIsForOneFile(t *testing.T) {
	s := prosody(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		ended <- juliet.Receive(t.Context(), ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, Once: true, Out: &out})
	}()
	files := threeFiles(t)
	send := SendOptions{To: jid.MustParse("juliet@jet.test"), Files: files, Wait: time.Minute}
	wantCode(t, romeo.Send(t.Context(), send), exitcode.Declined)
	if f, _ := last[event.Failed](&in); !strings.Contains(f.Reason, "standard output") || out.Len() != 0 {
		t.Errorf("%+v, %d bytes", f, out.Len())
	}
	send.Files = files[:1]
	if err := errors.Join(romeo.Send(t.Context(), send), <-ended); err != nil || out.String() != strings.Repeat("a", 1000) {
		t.Errorf("%v: %.20q", err, out.String())
	}
}
