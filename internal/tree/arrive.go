package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"jetsend/internal/archive"
	"jetsend/internal/filename"
	"jetsend/internal/fsys"
	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// maxNumbered bounds the search for a free name in the download directory.
const maxNumbered = 10_000

// arrival is a file or a folder that is to get its name in the download directory.
type arrival struct {
	it       *item
	from     string // its name in the hidden directory
	base     string // name that it should have
	n        int    // of the names that were tried
	replaces bool
	Place
}

// endArgument brings a folder to its end, as far as it is not about its name.
func (g *group) endArgument(it *item) error {
	tr := it.arg.tree
	if tr == nil || it.kind != set.Directory {
		return nil
	}
	g.in(tr)
	it.self.dirty = it.self.dirty || tr.again
	if tr.updates {
		return g.finish(it.self, tr.top)
	}
	g.arrivals = append(g.arrivals, &arrival{it: it, from: tr.temp, base: it.arg.name})
	// A directory that its owner may not write cannot be moved: such a mode comes behind it.
	it.self.dirty = true
	_ = archive.SetTime(tr.top.f, it.mtime)
	if err := chmod(tr.top.f, it.arg.room.mode(it.mode, true)|0o700); err != nil && trouble(err) {
		return err
	}
	return nil
}

// arrive gives names to what has come to its end.
func (g *group) arrive() error {
	placed, err := g.names()
	if err != nil {
		return err
	}
	if len(placed) > 0 {
		if err := g.appear(placed); err != nil {
			return err
		}
	}
	for _, s := range g.ended {
		if err := g.end(s); err != nil {
			return err
		}
	}
	return nil
}

// names names what arrives: each round takes those whose name was taken the time before.
func (g *group) names() (placed []*arrival, err error) {
	for left := g.arrivals; len(left) > 0; {
		var now, again []*arrival
		taken := map[string]bool{}
		for _, a := range left {
			name, err := g.choose(a, taken)
			switch {
			case err == nil && name == "":
				again = append(again, a)
			case err == nil:
				taken[name] = true
				a.Path = filepath.Join(g.cfg.Dir, name)
				now = append(now, a)
			case trouble(err) && !errors.Is(err, inbox.ErrExists):
				return nil, err
			default:
				g.refuse(a, err)
			}
		}
		done, more, err := g.round(now)
		if err != nil {
			return nil, err
		}
		placed, left = append(placed, done...), append(again, more...)
	}
	return placed, nil
}

// refuse fails what gets no name.
func (g *group) refuse(a *arrival, err error) {
	why := reason(err)
	if errors.Is(err, inbox.ErrExists) {
		why = inbox.ErrExists.Error()
	}
	if a.it.kind == set.Directory {
		g.doom(a.it, why)
		return
	}
	g.lose(a.it, why)
}

// choose finds a name for what arrives that is free, or may be replaced. No name: another
// one that arrives has got it, and it has to be looked at again.
func (g *group) choose(a *arrival, taken map[string]bool) (string, error) {
	if !g.cfg.Conflict.Counts() {
		is, err := g.into.lstat(a.base)
		a.replaces = err == nil && g.cfg.Conflict == inbox.Overwrite && is.kind.IsRegular() && a.it.kind == set.File
		switch {
		case taken[a.base]:
			return "", nil
		case a.replaces || errors.Is(err, fs.ErrNotExist):
			return a.base, nil
		case err == nil:
			return "", inbox.ErrExists
		}
		return "", err
	}
	for a.n = max(a.n, g.numbers[a.base]); a.n < maxNumbered; a.n++ {
		name := filename.Numbered(a.base, a.n)
		_, err := g.into.lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !taken[name]:
			g.numbers[a.base] = a.n
			return name, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return name, nil // renaming says what is wrong
		}
	}
	return "", inbox.ErrCrowded
}

// round names what has found a name. It returns what has got it, and what was too late.
func (g *group) round(now []*arrival) (done, again []*arrival, err error) {
	if len(now) == 0 {
		return nil, nil, nil
	}
	placements := make([]Placement, len(now))
	for i, a := range now {
		is, err := g.room.hide.lstat(a.from)
		if err != nil {
			return nil, nil, err
		}
		a.Device, a.Inode = g.room.device, is.inode
		placements[i] = Placement{a.it.arg.number, a.Place}
	}
	if err := g.room.hide.sync(); err != nil {
		return nil, nil, err
	}
	if err := g.cfg.Ledger.Placing(placements); err != nil {
		return nil, nil, err
	}
	for _, a := range now {
		late, err := g.appoint(a)
		switch {
		case err != nil && trouble(err):
			return nil, nil, err
		case err != nil:
			g.refuse(a, err)
		case late:
			again = append(again, a)
		default:
			done = append(done, a)
		}
	}
	return done, again, nil
}

// appoint gives what arrives its name, or reports that another one has to be found.
func (g *group) appoint(a *arrival) (late bool, err error) {
	name := filepath.Base(a.Path)
	if a.replaces {
		err = g.room.hide.replace(a.from, g.into, name)
	} else {
		err = g.room.hide.move(a.from, g.into, name)
	}
	plain := filename.Plain(a.base)
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, fs.ErrExist) && !a.replaces:
		a.n++
		return true, nil
	case fsys.Unnameable(err) && plain != a.base:
		a.base, a.n = plain, 0
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		if _, serr := os.Lstat(g.cfg.Dir); errors.Is(serr, fs.ErrNotExist) {
			return false, fmt.Errorf("the download directory %s is not there any more", g.cfg.Dir)
		}
	}
	return false, err
}

// appear makes names durable, and tells the ledger.
func (g *group) appear(placed []*arrival) error {
	if err := errors.Join(g.into.sync(), g.room.hide.sync()); err != nil {
		return err
	}
	placements := make([]Placement, len(placed))
	for i, a := range placed {
		placements[i] = Placement{a.it.arg.number, a.Place}
		if err := g.appeared(a); err != nil {
			return err
		}
	}
	return g.cfg.Ledger.Placed(placements)
}

// appeared notes where an argument is now.
func (g *group) appeared(a *arrival) error {
	it := a.it
	g.mu.Lock()
	it.arg.arrival.Path = a.Path
	it.temp = ""
	if name := filepath.Base(a.Path); name != it.arg.said.Name {
		it.renamed = name
	}
	g.mu.Unlock()
	if it.kind == set.File {
		g.settled = append(g.settled, it)
		return nil
	}
	tr := it.arg.tree
	tr.place = a.Place
	if err := g.finish(it.self, tr.top); err != nil && trouble(err) {
		return err
	}
	if err := tr.top.sync(); err != nil {
		return err
	}
	if it.arg.said.Folder == nil {
		return nil
	}
	return g.shelve(it.arg)
}

// shelve puts the record of a folder where later sets find it.
func (t *Target) shelve(a *argument) error {
	tr := a.tree
	rec := tr.rec
	tr.rec = nil
	if err := rec.end(); err != nil {
		return err
	}
	return t.remembered(a, tr.base, tr.place)
}

// remembered moves a record, and tells the ledger of the folder.
func (t *Target) remembered(a *argument, base string, p Place) error {
	to := t.recordOf(p.Path)
	if err := removeRecord(to); err != nil {
		return err
	}
	if err := gone(supersede(base+recordSuffix, to+recordSuffix)); err != nil {
		return err
	}
	return t.cfg.Ledger.Remember(a.said.Folder, p)
}

// adopt does for a folder what an earlier session may have been cut before.
func (t *Target) adopt(a *argument, p Place) error {
	if a.said.Folder == nil {
		return nil
	}
	if same, err := t.stands(p); err != nil || !same {
		return err // what is there now is somebody else's
	}
	base := t.hiddenRecord(a.number)
	if exists(base+recordSuffix) || exists(base+freshSuffix) {
		rec, err := openRecord(base)
		if err == nil {
			err = rec.end()
		}
		if err != nil {
			return err
		}
		return t.remembered(a, base, p)
	}
	known, ok, err := t.cfg.Ledger.Folder(a.said.Folder)
	if err != nil || ok && exists(known.Path) {
		return err
	}
	return t.cfg.Ledger.Remember(a.said.Folder, p)
}

// stands reports whether what was put into a place is still there.
func (t *Target) stands(p Place) (bool, error) {
	d, err := openPath(filepath.Dir(p.Path))
	if err != nil {
		return false, gone(err)
	}
	is, err := d.lstat(filepath.Base(p.Path))
	err = errors.Join(gone(err), d.close())
	return err == nil && (!t.room.steady || is.inode == p.Inode), err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// recordOf is the path of the record of a folder that is in its place, without suffix.
func (t *Target) recordOf(path string) string { return recordOf(t.cfg.State, path) }

// foldersDir is where the records of folders are that are in their places.
const foldersDir = "folders"

func recordOf(state, path string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(path)))
	return filepath.Join(state, foldersDir, hex.EncodeToString(sum[:]))
}

// end ends an argument.
func (g *group) end(s *step) error {
	it := s.it
	if it.arg.tree != nil {
		if err := g.endTree(s, it.arg.tree); err != nil {
			return err
		}
	}
	if s.what == endArgument && it.kind == set.Directory {
		g.doomed(it)
		g.settled = append(g.settled, it)
	}
	return nil
}

// endTree ends a folder, and closes it.
func (g *group) endTree(s *step, tr *tree) error {
	if rec := tr.rec; rec != nil {
		tr.rec = nil
		if err := errors.Join(tr.old.close(), rec.end()); err != nil { // the session is behind it
			return err
		}
	}
	if s.what == endArgument && tr.updates {
		if err := g.updated(s.it.arg); err != nil {
			return err
		}
	}
	g.mu.Lock()
	delete(g.trees, tr)
	g.mu.Unlock()
	s.it.arg.tree = nil
	return tr.close()
}

// updated tells the ledger of a folder that was updated.
func (g *group) updated(a *argument) error {
	g.mu.Lock()
	a.arrival.Path = a.tree.place.Path
	g.mu.Unlock()
	if a.before != nil { // it knows
		return nil
	}
	p := []Placement{{a.number, a.tree.place}}
	if err := g.cfg.Ledger.Placing(p); err != nil {
		return err
	}
	return g.cfg.Ledger.Placed(p)
}

// tell tells how an argument has ended.
func (g *group) tell(it *item) {
	g.mu.Lock()
	a := it.arg.arrival
	if a.Path == "" {
		a.Reason = it.reason
	}
	g.mu.Unlock()
	if g.cfg.Arrived != nil {
		g.cfg.Arrived(a)
	}
}
