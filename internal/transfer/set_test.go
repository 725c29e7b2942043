package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/inbox"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmpptest"
)

// setsStage brings both ends online, who take sets.
func setsStage(t *testing.T, faults ...xmpptest.Fault) *stage {
	t.Helper()
	st := &stage{server: prosody(t)}
	st.dir = t.TempDir()
	st.juliet = onlineAs(t, st.server, "juliet", func(c *Config) {
		c.Session.Server, c.Receiver, c.NoSets, c.Report = st.server.Addr, true, false, st.in.report
	})
	st.romeo = onlineAs(t, st.server, "romeo", func(c *Config) {
		c.Session.Server, c.Receiver, c.NoSets, c.Report = st.server.Addr, true, false, st.out.report
	})
	if len(faults) > 0 {
		st.through(t, faults...)
	}
	return st
}

// sendNamed sends what is named.
func (st *stage) sendNamed(t *testing.T, paths ...string) error {
	t.Helper()
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute}
	for _, p := range paths {
		opt.Files = append(opt.Files, source.Named{Path: p})
	}
	return st.romeo.Send(t.Context(), opt)
}

// every returns all events of type T.
func every[T event.Event](e *events) (all []T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if x, is := ev.(T); is {
			all = append(all, x)
		}
	}
	return all
}

// plantTree makes files with their paths as their names and contents.
func plantTree(t *testing.T, root string, paths ...string) {
	t.Helper()
	for _, p := range paths {
		full := filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(p), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// picture is what is in a directory: names, kinds, modes, times and contents.
func picture(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		fmt.Fprintf(&b, "%q %s ", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			fmt.Fprintf(&b, "%d %s", info.ModTime().UnixNano(), hex.EncodeToString(sum[:4]))
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			b.WriteString(target)
		default:
			fmt.Fprint(&b, info.ModTime().UnixNano())
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSet: files and a folder go in one session, and arrive as they were.
func TestSet(t *testing.T) {
	st := setsStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from := t.TempDir()
	plantTree(t, from, "a", "b", "work/.git/HEAD", "work/aux.c", "work/trailing ", "work/con\xff", "work/sub/deep/x")
	if err := os.Symlink("../.git/HEAD", filepath.Join(from, "work/sub/head")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(from, "work/aux.c"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := st.sendNamed(t, filepath.Join(from, "a"), filepath.Join(from, "work"), filepath.Join(from, "b")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "work"} {
		if got, want := picture(t, filepath.Join(st.dir, name)), picture(t, filepath.Join(from, name)); got != want {
			t.Errorf("%s: received\n%s\nsent\n%s", name, got, want)
		}
	}
	eventually(t, func() bool { return len(every[event.Received](&st.in)) == 3 })
	sent, got := every[event.Sent](&st.out), every[event.Received](&st.in)
	if len(sent) != 3 || len(got) != 3 {
		t.Fatalf("%d sent, %d received", len(sent), len(got))
	}
	for i := range sent {
		if sent[i].Transfer != got[i].Transfer || sent[i].Set == "" || sent[i].Set != got[i].Set || sent[i].Name != filepath.Base(got[i].Path) {
			t.Errorf("%+v\n%+v", sent[i], got[i])
		}
	}
	if n := len(every[event.Negotiated](&st.out)); n != 3 {
		t.Errorf("%d negotiated", n)
	}
	left, _ := filepath.Glob(filepath.Join(st.dir, ".jetsend*"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestSetGoesOn: after a cut the same send brings the rest of the file that was cut, and
// nothing twice.
func TestSetGoesOn(t *testing.T) {
	st := setsStage(t, xmpptest.CutAt(9<<20))
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from := t.TempDir()
	plantTree(t, from, "work/a", "work/z")
	large := noise(16 << 20)
	if err := os.WriteFile(filepath.Join(from, "work/m"), large, 0o600); err != nil {
		t.Fatal(err)
	}
	err := st.sendNamed(t, filepath.Join(from, "work"))
	var f *fault.Failure
	if !errors.As(err, &f) || f.Code != exitcode.Interrupted {
		t.Fatal(err)
	}
	st.through(t)
	if err := st.sendNamed(t, filepath.Join(from, "work")); err != nil {
		t.Fatal(err)
	}
	if got, want := picture(t, filepath.Join(st.dir, "work")), picture(t, filepath.Join(from, "work")); got != want {
		t.Errorf("received\n%s\nsent\n%s", got, want)
	}
	if names, _ := os.ReadDir(st.dir); len(names) != 1 {
		t.Errorf("%v", names)
	}
	rows, err := st.romeo.journal.List(t.Context(), journal.Filter{})
	if err != nil || len(rows) != 1 || !rows[0].Released || rows[0].Retries != 1 {
		t.Errorf("%+v, %v", rows, err)
	}
	if c := st.relay.Carried(); c.UpCount+c.DownCount > 16<<20 {
		t.Errorf("%d bytes the second time", c.UpCount+c.DownCount)
	}
}

// TestSetUpdates: the same folder again is the same folder, and only what changed moves.
func TestSetUpdates(t *testing.T) {
	st := setsStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, OnConflict: inbox.Update})
	from := t.TempDir()
	plantTree(t, from, "work/a", "work/b", "work/sub/c")
	work := filepath.Join(from, "work")
	if err := st.sendNamed(t, work); err != nil {
		t.Fatal(err)
	}
	plantTree(t, from, "work/new")
	if err := os.WriteFile(filepath.Join(work, "b"), []byte("another b"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "a"), []byte("another a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(st.dir, "work/a"), []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := st.sendNamed(t, work); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(every[event.Received](&st.in)) == 2 })
	got := every[event.Received](&st.in)[1]
	if got.New != 1 || got.Changed != 2 || got.Kept != 1 || got.Path != filepath.Join(st.dir, "work") {
		t.Errorf("%+v", got)
	}
	if sent := every[event.Sent](&st.out)[1]; sent.Counts != got.Counts {
		t.Errorf("sent %+v, received %+v", sent.Counts, got.Counts)
	}
	kept, err := os.ReadFile(filepath.Join(st.dir, "work/a (1)"))
	if err != nil || string(kept) != "edited" {
		t.Errorf("%q, %v", kept, err)
	}
	if err := os.Remove(filepath.Join(st.dir, "work/a (1)")); err != nil {
		t.Fatal(err)
	}
}

// TestSetFails: what cannot be read stops nothing else, and both ends say so.
func TestSetFails(t *testing.T) {
	st := setsStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from := t.TempDir()
	plantTree(t, from, "work/a", "work/out", "work/z")
	st.out.tell(func(e event.Event) {
		if _, is := e.(event.Offer); is { // it is listed then
			_ = os.Remove(filepath.Join(from, "work/out"))
		}
	})
	err := st.sendNamed(t, filepath.Join(from, "work"))
	var f *fault.Failure
	if !errors.As(err, &f) || f.Code != exitcode.LocalFile {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(every[event.Failed](&st.in)) == 1 })
	out, in := every[event.Failed](&st.out), every[event.Failed](&st.in)
	if len(out) != 1 || in[0].Path != filepath.Join(st.dir, "work") || in[0].EntriesFailed != 1 || in[0].Entries != 4 || out[0].Counts != in[0].Counts {
		t.Errorf("%+v\n%+v", out, in)
	}
	if e := every[event.Entry](&st.in); len(e) != 1 || e[0].Path != "out" || e[0].Reason == "" {
		t.Errorf("%+v", e)
	}
	if _, err := os.Lstat(filepath.Join(st.dir, "work/z")); err != nil {
		t.Error(err)
	}
}

// cutSet sends a folder with a large file, of which the path is cut, and returns its row's
// id.
func (st *stage) cutSet(t *testing.T) (from, id string) {
	t.Helper()
	from = t.TempDir()
	plantTree(t, from, "work/a", "work/sub/b", "work/z", "b", "work/d/e/f")
	if err := os.WriteFile(filepath.Join(from, "work/d/m"), noise(8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := st.sendNamed(t, filepath.Join(from, "work"), filepath.Join(from, "b")); err == nil {
		t.Fatal("sent")
	}
	st.through(t)
	rows, err := st.romeo.journal.List(t.Context(), journal.Filter{})
	if err != nil || len(rows) != 1 || rows[0].State != journal.Interrupted {
		t.Fatalf("%+v, %v", rows, err)
	}
	return from, rows[0].ID
}

// arrivedAs fails unless the folder and the file are there as they were, once.
func (st *stage) arrivedAs(t *testing.T, from string) {
	t.Helper()
	eventually(t, func() bool { return count[event.Received](&st.in) == 2 })
	for _, name := range []string{"work", "b"} {
		if got, want := picture(t, filepath.Join(st.dir, name)), picture(t, filepath.Join(from, name)); got != want {
			t.Errorf("received\n%s\nsent\n%s", got, want)
		}
	}
	if names, _ := os.ReadDir(st.dir); len(names) != 2 {
		t.Errorf("%v", names)
	}
	if c := st.relay.Carried(); c.UpCount+c.DownCount > 8<<20 {
		t.Errorf("%d bytes the second time", c.UpCount+c.DownCount)
	}
}

// TestSetResumed: either end goes on with a set that was cut, by hand or by itself.
func TestSetResumed(t *testing.T) {
	t.Run("sender", func(t *testing.T) {
		st := setsStage(t, xmpptest.CutAt(4<<20))
		receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
		from, id := st.cutSet(t)
		if err := st.romeo.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{{ID: id, Direction: journal.Send}}, Named: true, Wait: time.Minute}); err != nil {
			t.Fatal(err)
		}
		st.arrivedAs(t, from)
		if n := count[event.Sent](&st.out); n != 2 {
			t.Errorf("%d sent", n)
		}
	})
	t.Run("receiver", func(t *testing.T) {
		st := setsStage(t, xmpptest.CutAt(4<<20))
		stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
		from, id := st.cutSet(t)
		receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
		stop()
		if err := st.juliet.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{{ID: id, Direction: journal.Receive}}, Named: true, Wait: time.Minute}); err != nil {
			t.Fatal(err)
		}
		st.arrivedAs(t, from)
	})
	t.Run("daemon", func(t *testing.T) {
		st := setsStage(t, xmpptest.CutAt(4<<20))
		receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, AutoResume: time.Hour})
		from, _ := st.cutSet(t)
		receiving(t, st.romeo, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
		st.arrivedAs(t, from)
	})
	t.Run("run", func(t *testing.T) {
		st := setsStage(t, xmpptest.CutAt(4<<20))
		receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Retry: RetryOptions{Retries: 3, For: time.Minute}})
		from := t.TempDir()
		plantTree(t, from, "work/a", "work/z", "b")
		if err := os.WriteFile(filepath.Join(from, "work/m"), noise(8<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		st.out.tell(func(e event.Event) {
			if _, is := e.(event.Interrupted); is {
				st.through(t)
			}
		})
		opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute, Retry: RetryOptions{Retries: 3, For: time.Minute}}
		opt.Files = []source.Named{{Path: filepath.Join(from, "work")}, {Path: filepath.Join(from, "b")}}
		if err := st.romeo.Send(t.Context(), opt); err != nil {
			t.Fatal(err)
		}
		st.arrivedAs(t, from)
	})
}

// TestSetReceipt: a set whose sender never heard of its end is not sent again.
func TestSetReceipt(t *testing.T) {
	st := setsStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from := t.TempDir()
	plantTree(t, from, "work/a", "b")
	if err := st.sendNamed(t, filepath.Join(from, "work"), filepath.Join(from, "b")); err != nil {
		t.Fatal(err)
	}
	if _, err := st.romeo.db.ExecContext(t.Context(), `UPDATE transfers SET state = 'interrupted', released = 0, finished = NULL, durable = 0`); err != nil {
		t.Fatal(err)
	}
	if _, err := st.romeo.db.ExecContext(t.Context(), `UPDATE arguments SET state = ''`); err != nil {
		t.Fatal(err)
	}
	if err := st.sendNamed(t, filepath.Join(from, "work"), filepath.Join(from, "b")); err != nil {
		t.Fatal(err)
	}
	if names, _ := os.ReadDir(st.dir); len(names) != 2 || count[event.Received](&st.in) != 2 || count[event.Sent](&st.out) != 4 {
		t.Errorf("%v, %d received, %d sent", names, count[event.Received](&st.in), count[event.Sent](&st.out))
	}
}

// TestSetReceiptOther: a receipt for what was there before is none for what is there now.
func TestSetReceiptOther(t *testing.T) {
	st := setsStage(t)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	from := t.TempDir()
	plantTree(t, from, "work/a")
	work := filepath.Join(from, "work")
	if err := st.sendNamed(t, work); err != nil {
		t.Fatal(err)
	}
	for _, forget := range []string{
		`UPDATE transfers SET state = 'interrupted', released = 0, finished = NULL, durable = 0`, `UPDATE arguments SET state = '', done = 0`,
	} {
		if _, err := st.romeo.db.ExecContext(t.Context(), forget); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(work, "a"), []byte("another a"), 0o600); err != nil {
		t.Fatal(err)
	}
	var f *fault.Failure
	if err := st.sendNamed(t, work); !errors.As(err, &f) || f.Code != exitcode.LocalFile {
		t.Fatal(err)
	}
	if failed, _ := last[event.Failed](&st.out); failed.Resumable || !strings.Contains(failed.Reason, "there before") {
		t.Errorf("%+v", failed)
	}
	if err := st.sendNamed(t, work); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(st.dir, "work (1)/a")); err != nil || string(b) != "another a" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestSetOnce: a run that takes one thing takes a set as one, and tells how it ended.
func TestSetOnce(t *testing.T) {
	st := setsStage(t)
	from := t.TempDir()
	plantTree(t, from, "work/a", "b")
	plantTree(t, from, "work/out")
	st.out.tell(func(e event.Event) {
		if _, is := e.(event.Offer); is { // it is listed then
			_ = os.Remove(filepath.Join(from, "work/out"))
		}
	})
	ended := make(chan error, 1)
	go func() {
		ended <- st.juliet.Receive(t.Context(), ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Once: true})
	}()
	takesOffers(t, st.juliet)
	if err := st.sendNamed(t, filepath.Join(from, "work"), filepath.Join(from, "b")); err == nil {
		t.Error("sent")
	}
	var f *fault.Failure
	if err := <-ended; !errors.As(err, &f) || f.Code != exitcode.LocalFile {
		t.Error(err)
	}
}

// TestSetPaths: a set goes by way of a proxy, which keeps what it is given until it is
// given more, and in-band, in both directions.
func TestSetPaths(t *testing.T) {
	for name, r := range map[string]route.Options{
		"proxy":  {Transports: []string{route.S5B}, NoDirect: true},
		"inband": {Transports: []string{route.IBB}},
	} {
		t.Run(name, func(t *testing.T) {
			st := setsStage(t)
			receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts, Route: r})
			from := t.TempDir()
			plantTree(t, from, "work/a", "b")
			for i := range 60 {
				plantTree(t, from, fmt.Sprintf("work/many/%d", i))
			}
			if err := os.WriteFile(filepath.Join(from, "work/m"), noise(300<<10), 0o600); err != nil {
				t.Fatal(err)
			}
			opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute, Route: r}
			opt.Files = []source.Named{{Path: filepath.Join(from, "work")}, {Path: filepath.Join(from, "b")}}
			begun := time.Now()
			if err := st.romeo.Send(t.Context(), opt); err != nil {
				t.Fatal(err)
			}
			t.Log(name, time.Since(begun))
			for _, name := range []string{"work", "b"} {
				if got, want := picture(t, filepath.Join(st.dir, name)), picture(t, filepath.Join(from, name)); got != want {
					t.Errorf("received\n%s\nsent\n%s", got, want)
				}
			}
			if n, _ := last[event.Negotiated](&st.out); name == "proxy" && n.Candidate != "proxy" || name == "inband" && n.Transport != "ibb" {
				t.Errorf("%+v", n)
			}
		})
	}
}

// TestSetApart: towards a client that takes no sets, everything goes as before sets were,
// and with a word about it when the contact had one that does.
func TestSetApart(t *testing.T) {
	st := setsStage(t)
	from := t.TempDir()
	plantTree(t, from, "work/a", "b")
	stop := receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	if err := st.sendNamed(t, filepath.Join(from, "work"), filepath.Join(from, "b")); err != nil {
		t.Fatal(err)
	}
	stop()
	st.juliet.cfg.NoSets, st.dir = true, t.TempDir()
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	eventually(t, func() bool { // what it said while it took them is forgotten
		peers, err := st.romeo.contacts().Choose(t.Context(), contact.Options{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute})
		return err == nil && !peers[0].Sets
	})
	if err := st.sendNamed(t, filepath.Join(from, "work"), filepath.Join(from, "b")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"work", "b"} {
		if got, want := picture(t, filepath.Join(st.dir, name)), picture(t, filepath.Join(from, name)); got != want {
			t.Errorf("received\n%s\nsent\n%s", got, want)
		}
	}
	sent := every[event.Sent](&st.out)
	if len(sent) != 4 || sent[3].Set != "" {
		t.Errorf("%+v", sent)
	}
	warned := 0
	for _, w := range every[event.Warning](&st.out) {
		if strings.Contains(w.Text, "many files in one session before") {
			warned++
		}
	}
	if warned != 1 {
		t.Errorf("%+v", every[event.Warning](&st.out))
	}
}
