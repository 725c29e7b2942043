package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"jetsend/internal/filename"
	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// argument is one of the set: a file, or a folder.
type argument struct {
	said    set.Argument
	number  int
	name    string // that it should have in the download directory
	before  *Place // where it is since an earlier session
	lost    string // why nothing of it is taken
	entries uint64
	bytes   int64
	root    *item
	room    *room
	tree    *tree
	cut     bool    // the session ended before all of it had come; under Target.mu
	arrival Arrival // under Target.mu
}

// count counts what became of an entry.
func (a *Arrival) count(o set.Outcome) {
	switch o.How {
	case set.New:
		a.New++
	case set.Changed:
		a.Changed++
	case set.Equal:
		a.Equal++
	default:
		a.Failed++
	}
	if o.Renamed != "" {
		a.Renamed++
	}
	if o.Kept != "" {
		a.Kept++
	}
}

// tree is the folder of an argument as it is on the disk.
type tree struct {
	top     *dir
	born    time.Time // when top was made, if that is known
	root    *node
	updates bool   // it is in its place since an earlier set
	again   bool   // what a session before that was cut has named here may not be synced
	temp    string // its name there
	place   Place  // of one that is in its place
	base    string // of its record
	rec     *record
	old     *lines // the record as it was
	look    walker // of the goroutine of the session
	commit  walker // of the committer
}

func (tr *tree) close() error {
	tr.look.up(0)
	tr.commit.up(0)
	var err error
	for _, c := range []interface{ close() error }{tr.top, tr.old} {
		err = errors.Join(err, c.close())
	}
	if tr.rec != nil {
		err = errors.Join(err, tr.rec.close())
	}
	return err
}

// Argument implements [set.Target].
func (t *Target) Argument(number int, a set.Argument) error {
	if err := t.failed(); err != nil {
		return err
	}
	if number != t.arguments {
		return set.Refuse("argument %d where %d is next", number, t.arguments)
	}
	if err := t.finish(); err != nil {
		return err
	}
	if err := t.note(len(a.Name) + minArgument); err != nil {
		return ours(err)
	}
	t.arguments++
	t.order = order{}
	if id := string(a.Folder); t.said[id] {
		a.Folder = nil // said twice, it is two things: the first of them is the one that is remembered
	} else if id != "" {
		t.said[id] = true
	}
	t.arg = &argument{said: a, number: number, name: filename.Safe(a.Name), room: t.room, arrival: Arrival{Argument: number}}
	p, placed, err := t.cfg.Ledger.Argument(number)
	if err != nil {
		return fmt.Errorf("argument %d: %w", number, err)
	}
	if placed {
		t.arg.before, t.arg.arrival.Path, t.arg.arrival.Before = &p, p.Path, true
		return t.adopt(t.arg, p)
	}
	return nil
}

// finish ends the index of the argument of the moment.
func (t *Target) finish() error {
	if t.arg == nil {
		return nil
	}
	if t.arg.root == nil {
		return set.Refuse("an argument without entries")
	}
	t.leave(0)
	t.push(&step{endArgument, t.arg.root})
	t.arg = nil
	return nil
}

// Indexed implements [set.Target].
func (t *Target) Indexed() error {
	if err := t.failed(); err != nil {
		return err
	}
	return t.finish()
}

// hiddenRecord is the path of the record of a folder that has no name yet, without suffix.
func (t *Target) hiddenRecord(argument int) string {
	return filepath.Join(t.state, strconv.Itoa(argument))
}

// plant opens the folder of an argument: the one that it updates, or else a hidden one.
func (t *Target) plant(a *argument) error {
	if t.cfg.Conflict == inbox.Update && a.said.Folder != nil {
		done, err := t.known(a)
		if done || err != nil {
			return err
		}
	}
	if t.cfg.Conflict != inbox.Rename && t.cfg.Conflict != inbox.Update {
		if _, err := t.into.lstat(a.name); err == nil {
			a.lost = inbox.ErrExists.Error()
			return nil
		}
	}
	tr := &tree{temp: treePrefix + strconv.Itoa(a.number), base: t.hiddenRecord(a.number)}
	err := t.room.hide.mkdir(tr.temp, 0o700)
	if err == nil { // no record says anything about it
		err = errors.Join(removeRecord(tr.base), t.room.hide.sync())
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		if tr.top, err = t.room.hide.dir(tr.temp); err == nil {
			tr.born = bornAt(tr.top.f)
		}
	}
	if err != nil {
		return ours(err)
	}
	return t.grow(a, tr)
}

// gone is no error when something is not there.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// known opens the folder that the argument stands for, if there is one, and it is what
// it was.
func (t *Target) known(a *argument) (bool, error) {
	p, ok, err := t.cfg.Ledger.Folder(a.said.Folder)
	if err != nil || !ok {
		return false, err
	}
	return t.reopen(a, p)
}

// reopen opens a folder that is in its place, if it is what it was. Its last name is not
// followed.
func (t *Target) reopen(a *argument, p Place) (bool, error) {
	parent := filepath.Dir(p.Path)
	if _, err := os.Stat(parent); err != nil {
		return false, nil // it is not there any more
	}
	r, err := t.roomIn(parent)
	if err != nil {
		a.lost = reason(err)
		return true, nil // which is said of the argument
	}
	top, err := r.parent.dir(filepath.Base(p.Path))
	if err != nil {
		return false, nil // likewise
	}
	is, err := factsOf(top.f)
	if err != nil || r.steady && is.inode != p.Inode || deviceOf(top.f) != p.Device {
		return false, errors.Join(err, top.close())
	}
	tr := &tree{updates: true, top: top, born: bornAt(top.f), place: p, base: t.recordOf(p.Path)}
	if was, err := bornAs(tr.base); err != nil || !was.IsZero() && !tr.born.IsZero() && !was.Equal(tr.born) {
		return false, errors.Join(err, top.close()) // another one has got its inode
	}
	a.room = r
	return true, t.grow(a, tr)
}

// grow opens the record of a folder.
func (t *Target) grow(a *argument, tr *tree) error {
	var err error
	if tr.rec, err = openRecord(tr.base); err != nil {
		err = errors.Join(err, tr.top.close())
		if errors.Is(err, errBusy) {
			a.lost = errBusy.Error()
			return nil
		}
		return err
	}
	if tr.old, err = openLines(tr.base + recordSuffix); err != nil {
		return errors.Join(err, tr.rec.close(), tr.top.close())
	}
	tr.look.top, tr.commit.top, tr.again = tr.top, tr.top, tr.rec.again
	a.tree = tr
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trees[tr] = true
	return nil
}

// walker is a path of open directories in a folder. Only the ones on the way to the latest
// are open.
type walker struct {
	top  *dir
	path []*node
	open []*dir
	// left is told of a directory that is left; it is closed behind that, unless left says
	// that it keeps it.
	left func(n *node, d *dir) bool
}

// at opens a directory.
func (w *walker) at(n *node) (*dir, error) {
	if n.depth == 0 {
		return w.top, nil
	}
	if n.depth <= len(w.path) && w.path[n.depth-1] == n {
		return w.open[n.depth-1], nil
	}
	above, err := w.at(n.parent)
	if err != nil {
		return nil, err
	}
	w.up(n.depth - 1)
	d, err := above.dir(n.local)
	if err != nil {
		return nil, err
	}
	w.path, w.open = append(w.path, n), append(w.open, d)
	return d, nil
}

// up leaves all directories deeper than that.
func (w *walker) up(depth int) {
	for i := len(w.path) - 1; i >= depth; i-- {
		if w.left == nil || !w.left(w.path[i], w.open[i]) {
			_ = w.open[i].close() // what is in it is synced
		}
	}
	w.path, w.open = w.path[:min(depth, len(w.path))], w.open[:min(depth, len(w.open))]
}
