package journal

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jetsend/internal/fileid"
	"jetsend/internal/jid"
	"jetsend/internal/state"
)

// A row is read as it was written, also one with odd paths and dates.
func TestRow(t *testing.T) {
	k := newKit(t)
	r := sent(newID())
	r.SHA256 = keyA[:32]
	r.MTime = time.Date(9999, 1, 2, 3, 4, 5, 6, time.UTC)
	r.Mode, r.Source, r.Manifest = 0o750, SourceTree, keyB[:32]
	h := k.begin(r)
	want := r
	want.Peer, want.State, want.Phase = r.Peer.Bare(), Offered, PhaseOffered
	want.Created = k.clock.now().Truncate(time.Millisecond)
	want.Updated, want.Moved = want.Created, want.Created
	equal := cmp.Comparer(func(a, b jid.JID) bool { return a == b })
	if d := cmp.Diff(want, k.load(r.Key), equal); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want, h.Row(), equal); d != "" {
		t.Error(d)
	}
	zero := sent(newID())
	zero.MTime = time.Time{}
	k.begin(zero)
	if got := k.load(zero.Key); !got.MTime.IsZero() {
		t.Errorf("no date became %s", got.MTime)
	}
}

func TestBadRows(t *testing.T) {
	k := newKit(t)
	for name, spoil := range map[string]func(*Row){
		"path for id":    func(r *Row) { r.ID = "../../../../../../../../../../etc/pa" },
		"upper-case id":  func(r *Row) { r.ID = strings.ToUpper("a" + r.ID[1:]) },
		"id in braces":   func(r *Row) { r.ID = "{" + r.ID + "}" },
		"direction":      func(r *Row) { r.Direction = "up" },
		"no peer":        func(r *Row) { r.Peer = jid.JID{} },
		"size":           func(r *Row) { r.Size = -1 },
		"relative path":  func(r *Row) { r.Path = "a.iso" },
		"hash":           func(r *Row) { r.SHA256 = []byte{1} },
		"manifest":       func(r *Row) { r.Source, r.Manifest = SourceTree, []byte{1} },
		"no source":      func(r *Row) { r.Source = "" },
		"tree":           func(r *Row) { r.Source = SourceTree },
		"no tree":        func(r *Row) { r.Manifest = keyB[:32] },
		"setuid":         func(r *Row) { r.Mode = fs.ModeSetuid | 0o755 },
		"key":            func(r *Row) { r.Keys = [][]byte{{1}} },
		"too many keys":  func(r *Row) { r.Keys = make([][]byte, maxKeys+1) },
		"no directory":   func(r *Row) { r.Direction = Receive },
		"no key of peer": func(r *Row) { r.Direction, r.Dir, r.Keys = Receive, "/d", nil },
	} {
		r := sent(newID())
		spoil(&r)
		if h, err := k.Begin(t.Context(), r); err == nil {
			t.Errorf("%s was taken", name)
			k.release(h)
		}
	}
	if n := k.lockFiles(); n != 0 {
		t.Errorf("%d lock files", n)
	}
}

func TestMigrations(t *testing.T) {
	k := newKit(t)
	r := k.drive(sent(newID()), Interrupted)
	again := openKit(t, k.path, k.clock)
	if got := again.load(r.Key); got.State != Interrupted {
		t.Errorf("after another Open: %s", got.State)
	}
	if _, err := k.db.ExecContext(t.Context(), `UPDATE migrations SET version = version + 1 WHERE owner = 'journal'`); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), k.db, k.clock.now)
	wantErr(t, "a file of a newer version", err, state.ErrNewer)
	if k.dir != k.path+locks {
		t.Errorf("locks are in %s", k.dir)
	}
}

// A file of the first version keeps its rows.
func TestMigrationOfRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := state.Migrate(t.Context(), db, owner, schema()[:1]); err != nil {
		t.Fatal(err)
	}
	id := newID()
	const insert = `INSERT INTO transfers (id, direction, batch, peer, resource, profile, name, dir, path, size, state, durable,
		released, retries, created, updated, error) VALUES (?, 'send', '', 'romeo@jet.test', '', 1, 'a', '', '/a', 5, 'interrupted', 3, 0, 1, 1, 1, 'cut')`
	if _, err := db.ExecContext(t.Context(), insert, id); err != nil {
		t.Fatal(err)
	}
	k := openKit(t, path, &clock{t: mtime})
	if got := k.load(Key{id, Send}); got.Durable != 3 || got.Mode != 0 || got.Manifest != nil || !got.Moved.Equal(got.Updated) || got.Description != "" || got.Paused != NotPaused || got.Origin != nil || !got.Unchanged(5, got.MTime, make([]byte, fileid.Size)) {
		t.Errorf("got %+v", got)
	}
}

// The same send goes on only with the same source.
func TestOrigin(t *testing.T) {
	k := newKit(t)
	row := sent(newID())
	row.Profile, row.Origin = true, bytes.Repeat([]byte{1}, fileid.Size)
	row = k.drive(row, Interrupted)
	if got := k.load(row.Key); !bytes.Equal(got.Origin, row.Origin) {
		t.Errorf("kept as %x", got.Origin)
	}
	other := row
	other.Origin = bytes.Repeat([]byte{2}, fileid.Size)
	_, err := k.Begin(t.Context(), other)
	wantErr(t, "another file of the same path, size and time", err, ErrDiffers)
	for _, origin := range [][]byte{row.Origin, nil} {
		other.Origin = origin
		k.release(k.begin(other))
	}
	row.Origin = []byte("short")
	row.ID = newID()
	if _, err := k.Begin(t.Context(), row); err == nil {
		t.Error("a short identity was taken")
	}
}

func TestRunning(t *testing.T) {
	k := newKit(t)
	other := openKit(t, k.path, k.clock)
	r := sent(newID())
	h := k.begin(r)
	for _, j := range []*kit{k, other} {
		_, err := j.Begin(t.Context(), r)
		wantErr(t, "second Begin", err, ErrRunning)
		wantErr(t, "Forget", j.Forget(t.Context(), r.Key, keep), ErrRunning)
		if got := j.load(r.Key); got.State != Offered {
			t.Errorf("a look at it made it %s", got.State)
		}
	}
	self := received(r.ID, t.TempDir()) // the other direction is another transfer
	k.begin(self)
	k.release(h)
	k.release(h) // does nothing
	wantErr(t, "after Release", h.Run(t.Context()), ErrReleased)
	if got := k.load(r.Key); got.State != Interrupted || got.LastError != "" {
		t.Errorf("released as %s, %q", got.State, got.LastError)
	}
	h = other.begin(r)
	if got := h.Row(); got.Retries != 1 || got.State != Offered {
		t.Errorf("begun again: %d retries, %s", got.Retries, got.State)
	}
	if n := k.lockFiles(); n != 2 {
		t.Errorf("%d lock files", n)
	}
}

// A row whose lock is free is interrupted, whoever looks first.
func TestCrash(t *testing.T) {
	looks := map[string]func(*kit, Row) Row{
		"Load": func(k *kit, r Row) Row { return k.load(r.Key) },
		"Get": func(k *kit, r Row) Row {
			got, err := k.Get(k.t.Context(), r.ID)
			if err != nil {
				k.t.Error(err)
			}
			return got
		},
		"List": func(k *kit, _ Row) Row {
			rows, err := k.List(k.t.Context(), Filter{States: []State{Interrupted}})
			if err != nil || len(rows) != 1 {
				k.t.Fatal(rows, err)
			}
			return rows[0]
		},
		"Find": func(k *kit, r Row) Row {
			r.Batch = "another"
			got, err := k.Find(k.t.Context(), r)
			if err != nil {
				k.t.Error(err)
			}
			return got
		},
		"Open": func(k *kit, r Row) Row { return openKit(k.t, k.path, k.clock).load(r.Key) },
	}
	for name, look := range looks {
		for _, s := range []State{Offered, Running} {
			k := newKit(t)
			r := k.drive(sent(newID()), s)
			k.clock.add(time.Hour)
			got := look(k, r)
			if got.State != Interrupted || got.LastError != crashed || !got.Updated.Equal(r.Updated) {
				t.Errorf("%s, %s: %s, %q, %s", name, s, got.State, got.LastError, got.Updated)
			}
			if n := k.lockFiles(); n != 0 {
				t.Errorf("%s: %d lock files", name, n)
			}
		}
	}
	k := newKit(t)
	r := k.drive(sent(newID()), Running)
	if got := k.begin(r).Row(); got.State != Offered || got.Retries != 1 || got.LastError != crashed {
		t.Errorf("Begin: %s, %d, %q", got.State, got.Retries, got.LastError)
	}
}

func TestBeginAgain(t *testing.T) {
	ctx := t.Context()
	foreign := jid.MustParse("tybalt@jet.test")
	for name, c := range map[string]struct {
		direction Direction
		from      State
		spoil     func(*Row)
		want      error
	}{
		"send":                  {Send, Interrupted, func(*Row) {}, nil},
		"send without keys":     {Send, Interrupted, func(r *Row) { r.Keys = nil }, nil},
		"to another":            {Send, Interrupted, func(r *Row) { r.Peer = foreign }, ErrForeign},
		"another size":          {Send, Interrupted, func(r *Row) { r.Size++ }, ErrDiffers},
		"another time":          {Send, Interrupted, func(r *Row) { r.MTime = r.MTime.Add(1) }, ErrDiffers},
		"a directory":           {Send, Interrupted, func(r *Row) { r.Source, r.Manifest = SourceTree, keyB[:32] }, ErrDiffers},
		"received directory":    {Receive, Interrupted, func(r *Row) { r.Source, r.Manifest = SourceTree, keyB[:32] }, ErrDiffers},
		"another path":          {Send, Interrupted, func(r *Row) { r.Path += "x" }, ErrDiffers},
		"complete":              {Send, Complete, func(*Row) {}, ErrOver},
		"failed":                {Send, Failed, func(*Row) {}, ErrOver},
		"forgotten":             {Send, Forgotten, func(*Row) {}, ErrOver},
		"receive":               {Receive, Interrupted, func(*Row) {}, nil},
		"from another":          {Receive, Interrupted, func(r *Row) { r.Peer = foreign }, ErrForeign},
		"by another key":        {Receive, Interrupted, func(r *Row) { r.Keys = [][]byte{keyB} }, ErrForeign},
		"received size":         {Receive, Interrupted, func(r *Row) { r.Size-- }, ErrDiffers},
		"other directory":       {Receive, Interrupted, func(r *Row) { r.Dir = "/elsewhere" }, nil},
		"received name":         {Receive, Interrupted, func(r *Row) { r.Name = "b" }, nil},
		"released":              {Receive, Complete, func(*Row) {}, ErrOver},
		"released, key":         {Receive, Complete, func(r *Row) { r.Keys = [][]byte{keyB} }, ErrForeign},
		"released, forgotten":   {Receive, Forgotten, func(*Row) {}, ErrOver},
		"running, another key":  {Receive, Running, func(r *Row) { r.Keys = [][]byte{keyB} }, ErrForeign},
		"failed, by other key":  {Receive, Failed, func(r *Row) { r.Keys = [][]byte{keyB} }, ErrForeign},
		"failed, of other size": {Receive, Failed, func(r *Row) { r.Size++ }, nil},
	} {
		k := newKit(t)
		r := sent(newID())
		if c.direction == Receive {
			r = received(newID(), t.TempDir())
		}
		before := k.drive(r, c.from)
		r.Durable, r.Released, r.Retries, r.LastError, r.Finished = 7, true, 9, "x", k.clock.now() // not looked at
		r.Description = "of the newest offer"
		c.spoil(&r)
		h, err := k.Begin(ctx, r)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil {
			if n := k.lockFiles(); n > 1 || n == 1 && c.from != Running {
				t.Errorf("%s: %d lock files", name, n)
			}
			continue
		}
		if got := h.Row(); got.Released || got.Description != r.Description {
			t.Errorf("%s: begun as %+v", name, got)
		} else if c.from == Interrupted && (got.Retries != 1 || got.Dir != before.Dir || got.Name != r.Name || len(got.Keys) != 1) {
			t.Errorf("%s: taken up as %+v", name, got)
		} else if c.from == Failed && (got.Retries != 0 || got.Durable != 0 || got.LastError != "" || !got.Finished.IsZero()) {
			t.Errorf("%s: begun anew as %+v", name, got)
		}
		k.release(h)
	}
}

// A row that was forgotten before it was complete begins anew for a peer.
func TestForgottenBeginsAnew(t *testing.T) {
	k := newKit(t)
	r := k.drive(received(newID(), t.TempDir()), Interrupted)
	if err := k.Forget(t.Context(), r.Key, keep); err != nil {
		t.Fatal(err)
	}
	h := k.begin(received(r.ID, r.Dir))
	if got := h.Row(); got.State != Offered || got.Retries != 0 || got.Durable != 0 || got.Name != r.Name {
		t.Errorf("%+v", got)
	}
}

// A process that goes on with a transfer that it has read does not bring it
// back when it has ended, was forgotten or has expired meanwhile.
func TestOverMeanwhile(t *testing.T) {
	ctx := t.Context()
	ends := map[string]func(*kit, Row) error{
		"forgotten": func(k *kit, r Row) error { return k.Forget(ctx, r.Key, keep) },
		"failed": func(k *kit, r Row) error {
			h := k.begin(r)
			return errors.Join(h.Fail(nil), h.Release())
		},
		"expired": func(k *kit, _ Row) error {
			k.clock.add(31 * day)
			_, err := k.Expire(ctx, day, keep)
			return err
		},
	}
	for name, end := range ends {
		for _, r := range []Row{sent(newID()), received(newID(), t.TempDir())} {
			k := newKit(t)
			k.drive(r, Interrupted)
			read := k.load(r.Key)
			if err := end(k, read); err != nil {
				t.Fatal(err)
			}
			before, berr := k.Load(ctx, r.Key)
			_, err := k.Begin(ctx, read)
			wantErr(t, name, err, ErrOver)
			after, aerr := k.Load(ctx, r.Key)
			if after.State != before.State || errors.Is(aerr, ErrUnknown) != errors.Is(berr, ErrUnknown) {
				t.Errorf("%s, %s: it came back as %s", name, r.Direction, after.State)
			}
			if n := k.lockFiles(); n != 0 {
				t.Errorf("%s: %d lock files", name, n)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	k := newKit(t)
	r := sent(newID())
	r.Keys = nil
	h := k.begin(r)
	_, err := k.Offered(t.Context(), r.ID, romeo, keyA)
	wantErr(t, "before the offer", err, ErrUnknown)
	if err := h.Offer(t.Context(), "x", keyA); err != nil {
		t.Fatal(err)
	}
	if err := h.Offer(t.Context(), "y", keyA, keyB); err != nil { // a newer envelope
		t.Fatal(err)
	}
	if got := h.Row(); len(got.Keys) != 2 || got.Retries != 0 || got.Resource != "y" {
		t.Errorf("%+v", got)
	}
	for _, key := range [][]byte{keyA, keyB} {
		if got, err := k.Offered(t.Context(), r.ID, romeo, key); err != nil || got.Path != r.Path {
			t.Errorf("granted %+v: %v", got, err)
		}
	}
	if err := h.Offer(t.Context(), "x", []byte("short")); err == nil {
		t.Error("a short key was taken")
	}
	if err := remove2(t.Context(), k, r.Key); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := k.db.QueryRowContext(t.Context(), `SELECT count(*) FROM transfer_keys`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d keys without a row: %v", n, err)
	}
	wantErr(t, "a row that is gone", h.Release(), ErrUnknown)
	if l, err := state.LockFile(k.lockPath(r.Key)); err != nil {
		t.Error(err)
	} else if err := l.Release(); err != nil {
		t.Error(err)
	}
}

func remove2(ctx context.Context, k *kit, key Key) error {
	_, err := k.db.ExecContext(ctx, `DELETE FROM transfers WHERE id = ?`, key.ID)
	return err
}

// The end of the context does not keep the last word from being written.
func TestLastWord(t *testing.T) {
	k := newKit(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ends := map[State]func(*Handle) error{
		Interrupted: func(h *Handle) error { return h.Interrupt(errors.New("bad\x1b[31m\nline")) },
		Failed:      func(h *Handle) error { return h.Fail(errors.New("bad\x1b[31m\nline")) },
		Complete:    (*Handle).Complete,
	}
	for want, end := range ends {
		h := k.begin(sent(newID()))
		if err := errors.Join(end(h), h.Release()); err != nil {
			t.Error(err)
		}
		got := k.load(h.Row().Key)
		if got.State != want || want.Over() == got.Finished.IsZero() {
			t.Errorf("%s, finished %s; want %s", got.State, got.Finished, want)
		}
		if strings.ContainsAny(got.LastError, "\x1b\n") || (got.LastError == "") != (want == Complete) {
			t.Errorf("%s: error %q", want, got.LastError)
		}
	}
	if h, err := k.Begin(ctx, sent(newID())); err == nil {
		t.Error("began after a cancellation")
		k.release(h)
	}
	if n := k.lockFiles(); n != 0 {
		t.Errorf("%d lock files", n)
	}
}

// Lock files of crashes go; what is not ours stays.
func TestSweep(t *testing.T) {
	k := newKit(t)
	h := k.begin(sent(newID()))
	dead := k.begin(sent(newID()))
	if err := errors.Join(dead.Complete(), os.WriteFile(filepath.Join(k.dir, "notes"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	k.crash(dead) // after the last commit, before the lock was given back
	openKit(t, k.path, k.clock)
	if n := k.lockFiles(); n != 2 {
		t.Errorf("%d files", n)
	}
	if err := h.Run(t.Context()); err != nil {
		t.Error(err)
	}
}
