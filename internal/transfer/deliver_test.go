package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/archive"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/hook"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/source"
)

// counting is a hook that writes a line each time.
func counting(t *testing.T) (h *hook.Config, runs func() string) {
	t.Helper()
	dir := t.TempDir()
	path, log := filepath.Join(dir, "hook"), filepath.Join(dir, "log")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$JETSEND_KIND $JETSEND_NAME\" >> "+log+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return &hook.Config{Path: path, Env: []string{"PATH=" + os.Getenv("PATH")}}, func() string {
		b, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
}

// fixed is something to send that is what it is.
type fixed struct{ *bytes.Reader }

func (fixed) Close() error                    { return nil }
func (fixed) Unchanged(context.Context) error { return nil }

// offering sends data as what the source says, under an id.
func offeredBy(t *testing.T, e *Endpoint, src *source.Source, data []byte, id string) exitcode.Code {
	t.Helper()
	src.Data, src.Size, src.Path = fixed{bytes.NewReader(data)}, int64(len(data)), "/nowhere"
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute, AnswerTimeout: time.Minute}
	peers, err := e.choose(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return e.offering(opt, src, nil).start(t.Context(), peers, id)
}

// TestHookOnce: the hook of a finished transfer is not run again, however often
// its sender, who has lost the receipt, offers it.
func TestHookOnce(t *testing.T) {
	s := prosody(t)
	h, runs := counting(t)
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts, Hook: h})
	id := uuid.NewString()
	for range 3 {
		if code := offeredBy(t, romeo, &source.Source{Name: "f"}, []byte("abc"), id); code != exitcode.OK {
			t.Fatalf("exit code %d", code)
		}
		eventually(t, func() bool { _, ok := last[event.Hook](&in); return ok })
		waitIdle(t, juliet)
		if _, err := romeo.db.ExecContext(t.Context(), `DELETE FROM transfers`); err != nil {
			t.Fatal(err)
		}
	}
	if got := runs(); got != "file f\n" {
		t.Errorf("the hook ran for %q", got)
	}
}

// tarOf makes an archive.
func tarOf(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range append([]tar.Header{{Name: "tree/", Typeflag: tar.TypeDir, Mode: 0o755}}, entries...) {
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Mode = 3, 0o6755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHookAfterCrash: releases that a crash has cut, of files and of directories,
// are ended once, and the hook is run for each.
func TestHookAfterCrash(t *testing.T) {
	s := prosody(t)
	h, runs := counting(t)
	dir := t.TempDir()
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	tree := tarOf(t, tar.Header{Name: "tree/a", Typeflag: tar.TypeReg})
	manifest := bytes.Repeat([]byte{1}, sha256.Size)
	for name, c := range map[string]struct {
		data     []byte
		manifest []byte
		renamed  bool // the crash came after the new name, before the end of the old one
	}{
		"file": {[]byte("abc"), nil, false}, "packed": {tree, manifest, false}, "unpacked": {tree, manifest, true},
	} {
		row := journal.Row{
			Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
			Name: name, Dir: dir, Size: int64(len(c.data)), Source: journal.SourceOf(c.manifest), Manifest: c.manifest, Mode: 0o640, Keys: [][]byte{make([]byte, 33)},
		}
		cutRelease(t, juliet, row, c.data)
		if c.renamed {
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name, "a"), []byte("abc"), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if c.manifest != nil {
			if err := os.Mkdir(filepath.Join(dir, archive.TempName(row.ID)), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the second run has nothing left to do
		stop := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- juliet.Receive(t.Context(), ReceiveOptions{Dir: dir, Accept: policy.Contacts, Hook: h, Stop: stop, Drain: time.Minute})
		}()
		eventually(t, func() bool { return strings.Count(runs(), "\n") >= 3 })
		close(stop)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	got := strings.Split(strings.TrimSpace(runs()), "\n")
	slices.Sort(got)
	if want := []string{"directory packed", "directory unpacked", "file file"}; !slices.Equal(got, want) {
		t.Errorf("the hook ran for %q", got)
	}
	if names := list(t, dir); len(names) != 3 {
		t.Errorf("left: %v", names)
	}
	for _, f := range []string{"file", "packed/a", "unpacked/a"} {
		if b, err := os.ReadFile(filepath.Join(dir, f)); err != nil || string(b) != "abc" {
			t.Errorf("%s: %q, %v", f, b, err)
		}
	}
}

// TestOnceAfterCrash: a release that a crash has cut is the one that `--once` waits for,
// unless it waits for somebody else.
func TestOnceAfterCrash(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	for from, ends := range map[string]bool{"romeo@jet.test": true, "mercutio@jet.test": false} {
		dir := t.TempDir()
		row := journal.Row{
			Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"), Profile: true,
			Name: "f", Dir: dir, Size: 3, Source: journal.SourceFile, Mode: 0o640, Keys: [][]byte{make([]byte, 33)},
		}
		cutRelease(t, juliet, row, []byte("abc"))
		stop, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- juliet.Receive(t.Context(), ReceiveOptions{
				Dir: dir, Accept: policy.From, From: []jid.JID{jid.MustParse(from)}, Once: true, Stop: stop, Drain: time.Minute,
			})
		}()
		eventually(t, func() bool { _, err := os.Stat(filepath.Join(dir, "f")); return err == nil })
		select {
		case err := <-ended:
			if err != nil || !ends {
				t.Errorf("from %s: it ended: %v", from, err)
			}
		case <-time.After(3 * time.Second):
			if ends {
				t.Errorf("from %s: it waits on", from)
			}
			close(stop)
			if err := <-ended; ends == (err == nil) {
				t.Errorf("from %s: stopped: %v", from, err)
			}
		}
	}
}

// cutRelease leaves what a crash leaves between the journal's word on a name and the
// name: all bytes in the partial file.
func cutRelease(t *testing.T, e *Endpoint, row journal.Row, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(row.Dir, ".jetsend-"+row.ID+".part"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := e.journal.Begin(t.Context(), row)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []error{
		h.Run(t.Context()), h.Place(filepath.Join(row.Dir, row.Name), nil), h.Release(),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
}

// TestHostileArchives: a sender with all the right keys cannot put anything
// outside the tree that he offers, or over what is there.
func TestHostileArchives(t *testing.T) {
	s := prosody(t)
	parent := t.TempDir()
	dir := filepath.Join(parent, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(parent, "target"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	reg, link := byte(tar.TypeReg), byte(tar.TypeSymlink)
	for name, data := range map[string][]byte{
		"traversal":   tarOf(t, tar.Header{Name: "tree/../../target", Typeflag: reg}),
		"absolute":    tarOf(t, tar.Header{Name: filepath.Join(parent, "target"), Typeflag: reg}),
		"beside":      tarOf(t, tar.Header{Name: "other", Typeflag: reg}),
		"link out":    tarOf(t, tar.Header{Name: "tree/l", Typeflag: link, Linkname: "../../target"}),
		"link abs":    tarOf(t, tar.Header{Name: "tree/l", Typeflag: link, Linkname: "/etc/passwd"}),
		"through":     tarOf(t, tar.Header{Name: "tree/l", Typeflag: link, Linkname: "."}, tar.Header{Name: "tree/l/x", Typeflag: reg}),
		"hard link":   tarOf(t, tar.Header{Name: "tree/l", Typeflag: tar.TypeLink, Linkname: "../target"}),
		"device":      tarOf(t, tar.Header{Name: "tree/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}),
		"fifo":        tarOf(t, tar.Header{Name: "tree/fifo", Typeflag: tar.TypeFifo}),
		"twice":       tarOf(t, tar.Header{Name: "tree/x", Typeflag: reg}, tar.Header{Name: "tree/x", Typeflag: reg}),
		"no archive":  bytes.Repeat([]byte("garbage"), 1000),
		"cut":         tarOf(t, tar.Header{Name: "tree/x", Typeflag: reg})[:1025],
		"nothing":     {},
		"only a file": tarOf(t, tar.Header{Name: "tree/x", Typeflag: reg})[512:],
	} {
		in.reset()
		src := &source.Source{Name: "tree", Tree: &source.Tree{Manifest: make([]byte, sha256.Size), Files: 1}}
		if code := offeredBy(t, romeo, src, data, uuid.NewString()); code != exitcode.Declined {
			t.Errorf("%s: the sender ended with %d", name, code)
		}
		waitIdle(t, juliet)
		if f, ok := last[event.Failed](&in); !ok || f.Code != int(exitcode.Declined) || f.Resumable {
			t.Errorf("%s: %+v", name, f)
		}
		if names := list(t, dir); len(names) > 0 {
			t.Fatalf("%s: left %v", name, names)
		}
	}
	if b, err := os.ReadFile(filepath.Join(parent, "target")); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if names := list(t, parent); len(names) != 2 {
		t.Errorf("beside the download directory: %v", names)
	}
	// A tree that only looks hostile arrives, under a safe name.
	src := &source.Source{Name: "../.tree\u202e", Tree: &source.Tree{Manifest: make([]byte, sha256.Size), Files: 1}}
	data := tarOf(t, tar.Header{Name: "tree/$(x)\u202e;\x07", Typeflag: reg}, tar.Header{Name: "tree/" + strings.Repeat("n", 255), Typeflag: reg})
	if code := offeredBy(t, romeo, src, data, uuid.NewString()); code != exitcode.OK {
		t.Fatalf("exit code %d", code)
	}
	waitIdle(t, juliet)
	if got := list(t, filepath.Join(dir, "_tree_")); len(got) != 2 || !slices.Contains(got, "$(x)\u202e;\x07") {
		t.Errorf("%q in %q", got, list(t, dir))
	}
}

// TestManyAtOnce: every file of a send arrives, with its own events, and no more
// than a few at a time.
func TestManyAtOnce(t *testing.T) {
	s := prosody(t)
	dir := t.TempDir()
	var out events
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, out.report)
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute}
	from := t.TempDir()
	for i := range 12 {
		path := filepath.Join(from, fmt.Sprint(i))
		if err := os.WriteFile(path, bytes.Repeat([]byte{byte(i)}, i*1000), 0o600); err != nil {
			t.Fatal(err)
		}
		opt.Files = append(opt.Files, source.Named{Path: path})
	}
	if err := romeo.Send(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	waitIdle(t, juliet)
	for i := range 12 {
		if b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i))); err != nil || !bytes.Equal(b, bytes.Repeat([]byte{byte(i)}, i*1000)) {
			t.Errorf("%d: %d bytes, %v", i, len(b), err)
		}
	}
	under, most := map[string]bool{}, 0
	out.mu.Lock()
	defer out.mu.Unlock()
	for _, ev := range out.all {
		switch ev := ev.(type) {
		case event.Offer:
			under[ev.Transfer] = true
			most = max(most, len(under))
		case event.Sent:
			if !under[ev.Transfer] {
				t.Errorf("%s ended without an offer, or twice", ev.Transfer)
			}
			delete(under, ev.Transfer)
		}
	}
	if len(under) > 0 || most > sendingAtOnce {
		t.Errorf("%d at once, %d without an end", most, len(under))
	}
}
