package simulate

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/journal"
)

// copies are the folders in the download directory that come from a source.
func (w *world) copies(s *original) (dirs []string) {
	for _, name := range w.inDir() {
		path := filepath.Join(w.juliet.disk.dir, "in", name)
		if info, err := os.Lstat(path); err == nil && info.IsDir() && (name == filepath.Base(s.path) || strings.HasPrefix(name, filepath.Base(s.path)+" (")) {
			dirs = append(dirs, path)
		}
	}
	return dirs
}

// checkFolderSent holds `sent` of a folder against what is at the receiver: one of the
// folders there is it, and no crash can take it.
func (w *world) checkFolderSent(s *original, ev event.Sent) {
	whole := w.asListed(s, ev.Set)
	why := "there is none"
	for _, dir := range w.copies(s) {
		if why = w.difference(s, dir, whole); why != "" {
			continue
		}
		if why = w.lasting(dir); why == "" {
			return
		}
	}
	w.violated("sent %q is said, and no folder is it: %s", ev.Name, why)
}

// lasting says what of a folder a crash could take, or nothing.
func (w *world) lasting(dir string) (why string) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			why = err.Error()
		} else if lost := w.juliet.disk.durable(path); lost != "" && !w.isEdited(path) {
			why = path[len(dir):] + ": " + lost
		}
		return nil
	})
	return why
}

// isEdited reports whether somebody has edited a file, or it may be kept because of that.
func (w *world) isEdited(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.edits {
		if strings.HasPrefix(path, filepath.Join(e.dir, e.below)) {
			return true
		}
	}
	return false
}

// checkFolderReceived holds `received` of a folder against it.
func (w *world) checkFolderReceived(s *original, ev event.Received) {
	why := w.difference(s, ev.Path, w.asListed(s, ev.Set))
	if why == "" {
		why = w.lasting(ev.Path)
	}
	if why != "" {
		w.violated("received %q is said, and is not so: %s", ev.Name, why)
	}
}

// checkFailed finds entries that failed although nobody has changed anything.
func (w *world) checkFailed(e *end, ev event.Failed) {
	w.mu.Lock()
	changed := w.isChanged
	w.mu.Unlock()
	if ev.Set != "" && ev.Code == int(exitcode.LocalFile) && ev.EntriesFailed > 0 && !changed && w.juliet.disk.works() {
		w.violated("%s: %d entries of %q have failed, and nothing was the matter: %s", e.name, ev.EntriesFailed, ev.Name, ev.Reason)
	}
}

// checkSet holds the arguments of a set in the journal of the receiver against the disk,
// and notes whose their paths are.
func (w *world) checkSet(r record, owned map[string]string) {
	for _, a := range r.arguments {
		switch {
		case a.State == journal.ArgumentPlaced || a.State == journal.ArgumentPlacing && w.isThere(a):
			w.checkArgument(r, a, owned)
		case r.State == journal.Complete && a.State != journal.ArgumentFailed:
			w.violated("set %s is complete, and its argument %d is %q", r.ID, a.Number, a.State)
		}
	}
	if r.State == journal.Complete && len(r.arguments) != r.Items {
		w.violated("set %s is complete, and %d of %d arguments are known", r.ID, len(r.arguments), r.Items)
	}
}

// isThere reports whether an argument that was about to get its name has got it.
func (w *world) isThere(a journal.Argument) bool {
	inode, err := inodeOf(a.Path)
	return err == nil && inode == a.Inode
}

func (w *world) checkArgument(r record, a journal.Argument, owned map[string]string) {
	s := w.sourceOf(a.Name)
	if s == nil || !w.isThere(a) {
		w.violated("argument %d of set %s, %q, is %s, and is not at %s", a.Number, r.ID, a.Name, a.State, a.Path)
		return
	}
	of := owned[a.Path]
	switch {
	case of != "" && (s.folder == nil || !w.plan.update):
		w.violated("%s is the path of two transfers: %s and %s", a.Path, of, r.ID)
	case s.folder != nil:
		if why := w.difference(s, a.Path, false); why != "" {
			w.violated("folder %s of set %s: %s", a.Path, r.ID, why)
		}
	default:
		if b, err := os.ReadFile(a.Path); err != nil || !w.isVersion(s, b) {
			w.violated("file %s of set %s (%d bytes) is not the source: %v", a.Path, r.ID, len(b), err)
		}
	}
	owned[a.Path] = r.ID
}

// checkEdits: what somebody has written at the receiver is still there, beside what came
// later. Where every folder comes anew, nothing of sets touches it.
func (w *world) checkEdits() {
	for _, e := range w.edits {
		found := e.again
		for _, name := range siblings(filepath.Join(e.dir, e.below)) {
			b, err := os.ReadFile(name)
			found = found || err == nil && string(b) == string(e.data)
		}
		if !found {
			w.violated("what somebody has written into %s is gone", filepath.Join(e.dir, e.below))
		}
	}
}

// siblings are the paths that a file may be kept at.
func siblings(path string) []string {
	all, _ := filepath.Glob(path + " (*)") // the pattern is one
	return append(all, path)
}

// checkCopies: a folder that is updated is in one place. Where a set was cut when its folder
// had just got its name, and is not gone on with, another one does not know that folder.
func (w *world) checkCopies() {
	for _, s := range w.sources {
		if s.folder != nil && w.plan.update && w.juliet.disk.whole() && len(w.copies(s)) > 1 {
			w.violated("%q is in %d folders, and was to be updated", filepath.Base(s.path), len(w.copies(s)))
		}
	}
}
