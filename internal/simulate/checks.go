package simulate

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/journal"
	"jetsend/internal/state"
)

// checkSent holds `sent` against what is released.
func (w *world) checkSent(ev event.Sent) {
	s := w.sourceOf(ev.Name)
	if s == nil {
		w.violated("sent %q, which is no source", ev.Name)
		return
	}
	w.mu.Lock()
	s.sent = true
	w.mu.Unlock()
	if s.folder != nil {
		w.checkFolderSent(s, ev)
		return
	}
	path := w.released(s, ev.Size)
	switch {
	case path == "" && !ev.VerifiedByPeer && w.plan.form != "" && w.mayNotice():
		return // the forms of other clients have no receipt, and the event says so
	case path == "":
		w.violated("sent %q is said, and it is not released", ev.Name)
		return
	}
	if why := w.juliet.disk.durable(path); why != "" {
		w.violated("sent %q is said, and a crash of the receiver could take it: %s", ev.Name, why)
	}
}

// checkReceived holds `received` against the file.
func (w *world) checkReceived(ev event.Received) {
	s := w.sourceOf(ev.Name)
	if s != nil && s.folder != nil {
		w.checkFolderReceived(s, ev)
		return
	}
	b, err := os.ReadFile(ev.Path)
	switch {
	case s == nil:
		w.violated("received %q, which is no source", ev.Name)
	case err != nil:
		w.violated("received %q is said: %v", ev.Name, err)
	case !w.isVersion(s, b):
		w.violated("received %q is said, and the %d bytes are not the source", ev.Name, len(b))
	default:
		if why := w.juliet.disk.durable(ev.Path); why != "" {
			w.violated("received %q is said, and a crash could take it: %s", ev.Name, why)
		}
	}
}

func (w *world) sourceOf(name string) *original {
	for _, s := range w.sources {
		if filepath.Base(s.path) == name {
			return s
		}
	}
	return nil
}

func (w *world) isVersion(s *original, b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range s.versions {
		if bytes.Equal(v, b) {
			return true
		}
	}
	return false
}

// inDir are the names in the download directory.
func (w *world) inDir() (names []string) {
	entries, err := os.ReadDir(filepath.Join(w.juliet.disk.dir, "in"))
	if err != nil {
		w.violated("the simulation itself: %v", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// released is where a version of that size of a source is released, or nothing.
func (w *world) released(s *original, size int64) string {
	for _, name := range w.inDir() {
		if !strings.HasPrefix(name, filepath.Base(s.path)) {
			continue
		}
		path := filepath.Join(w.juliet.disk.dir, "in", name)
		if b, err := os.ReadFile(path); err == nil && int64(len(b)) == size && w.isVersion(s, b) {
			return path
		}
	}
	return ""
}

// rows are those of the journal of a machine on which nothing runs.
func (e *end) rows(d journal.Direction) (rows []record, err error) {
	e.disk.look(true)
	defer e.disk.look(false)
	db, err := state.Open(context.Background(), state.Path(filepath.Join(e.disk.dir, "state"), e.jid))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	j, err := journal.Open(context.Background(), db, time.Now)
	if err != nil {
		return nil, err
	}
	all, err := j.List(context.Background(), journal.Filter{Direction: d})
	for _, row := range all {
		arguments, aerr := j.ArgumentsOf(context.Background(), row.Key)
		rows, err = append(rows, record{row, arguments}), errors.Join(err, aerr)
	}
	return rows, err
}

// record is a row with what a set is made of.
type record struct {
	journal.Row
	arguments []journal.Argument
}

// is reports whether a source is sent in it.
func (r record) is(s *original) bool {
	return r.Path == s.path || slices.ContainsFunc(r.arguments, func(a journal.Argument) bool { return a.Path == s.path })
}

// checkLocks finds locks of transfers that a process left behind when it ended.
func (e *end) checkLocks(when string) {
	dir := state.Path(filepath.Join(e.disk.dir, "state"), e.jid) + ".locks"
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.w.violated("the simulation itself: %v", err)
	}
	for _, entry := range entries {
		l, err := state.LockFile(filepath.Join(dir, entry.Name()))
		if errors.Is(err, state.ErrLocked) {
			e.w.violated("%s: the lock %s is held %s", e.name, entry.Name(), when)
			continue
		}
		if err == nil {
			_ = l.Release()
		}
	}
}

// checkDurable holds the journal against what a crash has left of partial files: synced
// says how many bytes of each were synced.
func (e *end) checkDurable(synced map[string]int64) {
	rows, err := e.rows(journal.Receive)
	if err != nil {
		e.w.violated("%s: the journal after a crash: %v", e.name, err)
	}
	for _, r := range rows {
		if r.State != journal.Interrupted || r.Phase.Verified() || r.Durable == 0 || r.Items > 0 {
			continue
		}
		path := partOf(r)
		if _, err := os.Lstat(path); err != nil {
			e.w.violated("%s: %d bytes of %s count as durable: %v", e.name, r.Durable, r.ID, err)
		}
		if n, known := synced[path]; known && n < r.Durable {
			e.w.violated("%s: %d bytes of %s count as durable, and %d were synced", e.name, r.Durable, r.ID, n)
		}
	}
}

// checkEnd is what has to hold when everything is sent and nothing runs any more.
func (w *world) checkEnd() {
	for _, s := range w.streams.twice(w.sources) {
		w.violated("one key stream for two sessions: %s", s)
	}
	rows, err := w.juliet.rows(journal.Receive)
	if err != nil {
		w.violated("the journal at the end: %v", err)
		return
	}
	owned := map[string]string{}
	for _, r := range rows {
		switch {
		case r.Dir != filepath.Join(w.juliet.disk.dir, "in"): // of the template
		case r.Items > 0 && !r.State.Live():
			w.checkSet(r, owned)
		case r.State == journal.Complete:
			if of := owned[r.Path]; of != "" {
				w.violated("%s is the path of two transfers: %s and %s", r.Path, of, r.ID)
			}
			owned[r.Path] = r.ID
			w.checkFile(r)
		case r.State.Live():
			w.violated("transfer %s is %s, and nothing runs", r.ID, r.State)
		case r.State == journal.Interrupted && r.Phase.Verified():
			w.violated("transfer %s is verified, and not released", r.ID)
		}
	}
	w.checkOthers(rows, owned)
	w.checkEdits()
	w.checkCopies()
}

// checkFile holds a complete row against its file.
func (w *world) checkFile(r record) {
	b, err := os.ReadFile(r.Path)
	s := w.sourceOf(r.Name)
	if err != nil || s == nil || !w.isVersion(s, b) {
		w.violated("transfer %s is complete, and %s (%d bytes) is not the source: %v", r.ID, r.Path, len(b), err)
	}
}

// checkOthers finds what is in the download directory and no row knows of. A crash may
// leave a partial file behind: it is removed when it is old.
func (w *world) checkOthers(rows []record, owned map[string]string) {
	parts := map[string]bool{}
	for _, r := range rows {
		if r.State == journal.Interrupted {
			parts[filepath.Base(partOf(r))] = true
		}
	}
	for _, name := range w.inDir() {
		path := filepath.Join(w.juliet.disk.dir, "in", name)
		switch {
		case strings.HasPrefix(name, "."):
			if !parts[name] && w.juliet.disk.whole() {
				w.violated("%s is left behind", name)
			}
		case owned[path] == "":
			w.violated("%s is in the download directory, and no transfer knows of it", name)
		}
	}
}

// streams remembers how each bytestream began.
type streams struct {
	mu      sync.Mutex
	first   map[string][]byte
	offsets map[int64]bool
}

// begin notes the first block of a bytestream.
func (s *streams) begin(id string, block []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = map[string][]byte{}
	}
	s.first[id] = block
}

// offset notes where in a file a session went on.
func (s *streams) offset(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offsets == nil {
		s.offsets = map[int64]bool{}
	}
	s.offsets[at] = true
}

// sample is how many bytes of two key streams have to be equal.
const sample = 16

// lengthField is how many bytes a record of a set has in front of what is encrypted.
const lengthField = 4

// keyStreams adds to keys what has to have been the key stream, if block is the plain text
// at one of the offsets.
func keyStreams(keys map[[sample]byte]bool, block, plain []byte, offsets map[int64]bool) {
	for at := range offsets {
		if at+sample > int64(len(plain)) {
			continue
		}
		var key [sample]byte
		for i := range key {
			key[i] = block[i] ^ plain[at+int64(i)]
		}
		keys[key] = true
	}
}

// couldBe are the key streams that a bytestream can have begun with, whatever it carried.
func couldBe(sources []*original, block []byte, offsets map[int64]bool) map[[sample]byte]bool {
	keys := map[[sample]byte]bool{}
	for _, src := range sources {
		for _, v := range src.versions {
			keyStreams(keys, block, v, offsets)
		}
	}
	return keys
}

// twice finds bytestreams that were encrypted with the same key stream. Since nobody
// tells which part of which file one has carried, all that can be are tried.
func (s *streams) twice(sources []*original) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	offsets := map[int64]bool{0: true}
	for at := range s.offsets {
		offsets[at] = true
	}
	seen, begun := map[[sample]byte]string{}, map[[sample]byte]string{}
	note := func(in map[[sample]byte]string, key [sample]byte, id string) {
		if other := in[key]; other != "" {
			found = append(found, other+" and "+id)
		}
		in[key] = id
	}
	for id, block := range s.first {
		if len(block) < sample {
			continue
		}
		if len(block) >= lengthField+sample { // where a session of a set begins as one before it
			var begins [sample]byte
			copy(begins[:], block[lengthField:])
			note(begun, begins, id)
		}
		for key := range couldBe(sources, block, offsets) {
			note(seen, key, id)
		}
	}
	return found
}
