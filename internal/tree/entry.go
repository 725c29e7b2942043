package tree

import (
	"errors"
	"io/fs"
	"path/filepath"

	"jetsend/internal/archive"
	"jetsend/internal/clean"
	"jetsend/internal/inbox"
	"jetsend/internal/set"
)

// nothing is what is wanted of what is here, or will not be.
var nothing = set.Want{Nothing: true}

// Entry implements [set.Target].
func (t *Target) Entry(number uint64, e set.Entry, x []set.Extent) (set.Want, error) {
	if err := t.failed(); err != nil {
		return set.Want{}, err
	}
	it, err := t.admit(number, &e, x)
	if err != nil {
		return set.Want{}, err
	}
	if it.in == nil {
		if err := t.root(it); err != nil {
			return set.Want{}, err
		}
	}
	t.mu.Lock()
	t.open[number] = it
	t.mu.Unlock()
	want, err := t.decide(it)
	if err == nil {
		err = t.afford(it)
	}
	if err != nil {
		return set.Want{}, ours(err)
	}
	return want, nil
}

// afford sees that there is room for what is written of an entry beside its data: a line of the
// record, and what a directory or a link takes.
func (t *Target) afford(it *item) error {
	if it.arg.tree == nil {
		return nil
	}
	if it.kind != set.File && it.plan >= planNew {
		if err := t.spend(it.arg.room, block); err != nil {
			return err
		}
	}
	return t.note(len(it.key) + len(it.target) + minLine)
}

// note sees, from time to time, that there is room for what is written down.
func (t *Target) note(n int) error {
	if t.lines -= int64(n); t.lines >= 0 {
		return nil
	}
	t.lines = looks
	return fits(t.records, t.spare)
}

// admit holds an entry against what an index may say, and makes an item of it.
func (t *Target) admit(number uint64, e *set.Entry, x []set.Extent) (*item, error) {
	a := t.arg
	if a == nil {
		return nil, set.Refuse("an entry of no argument")
	}
	if err := t.order.check(e); err != nil {
		return nil, err
	}
	data, err := checkExtents(e, x)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	open := len(t.open)
	t.mu.Unlock()
	switch {
	case number != t.entries:
		return nil, set.Refuse("entry %d where %d is next", number, t.entries)
	case t.entries >= set.MaxEntries || a.entries >= a.said.Entries:
		return nil, set.Refuse("more entries than the %d of the argument", a.said.Entries)
	case data > t.cfg.Bytes-t.bytes || data > a.said.Bytes-a.bytes:
		return nil, set.Refuse("more than the bytes that were offered")
	case open >= set.Window:
		return nil, set.Refuse("more than %d entries that are not settled", open)
	case e.Mode&^fs.ModePerm != 0:
		return nil, set.Refuse("a mode of %o", uint32(e.Mode))
	}
	t.entries++
	a.entries++
	t.bytes += data
	a.bytes += data
	return t.item(number, e, x), nil
}

// item makes an item of an entry, and goes to its directory.
func (t *Target) item(number uint64, e *set.Entry, x []set.Extent) *item {
	it := &item{
		number: number, arg: t.arg, key: keyOf(e.Path), name: t.arg.name, kind: e.Kind, size: e.Size, mtime: e.MTime, mode: e.Mode,
		target: e.Target, sparse: e.Extents >= 0, extents: set.ExtentsOf(e, x), word: clean.Text(e.Failed), digest: e.SHA256,
	}
	it.left = it.extents
	if len(e.Path) > 0 {
		it.name = e.Path[len(e.Path)-1]
		t.leave(len(e.Path))
		it.in = t.stack[len(t.stack)-1]
	}
	return it
}

// leave ends the directories of the moment that are at least so deep.
func (t *Target) leave(depth int) {
	for i := len(t.stack) - 1; i >= depth; i-- {
		if n := t.stack[i]; n.depth > 0 && n.arg.tree != nil {
			t.push(&step{endDirectory, n.item})
		}
	}
	t.stack = t.stack[:min(depth, len(t.stack))]
}

// root takes the root of an argument: its folder is opened.
func (t *Target) root(it *item) error {
	a := t.arg
	a.root = it
	if it.kind == set.Directory {
		var err error
		if a.before == nil {
			err = t.plant(a)
		} else if a.said.Folder != nil { // what has changed since then comes
			_, err = t.reopen(a, *a.before)
		}
		if err != nil {
			return err
		}
	}
	a.arrival.Folder = it.kind == set.Directory
	return nil
}

// decide says what is wanted of an entry, by what is here.
func (t *Target) decide(it *item) (set.Want, error) {
	a := it.arg
	it.how = set.New
	switch {
	case a.before != nil && a.tree == nil:
		it.how = set.Equal
		t.enter(it, false)
		switch {
		case it.in == nil && it.kind == set.File && t.another(it):
			t.lose(it, "it has changed since it arrived here")
		case it.in != nil || it.kind == set.File:
			t.settle(it)
		}
		return nothing, nil
	case it.in == nil && it.kind == set.Directory && a.lost == "":
		t.enter(it, false)
		a.tree.root = it.self
		a.tree.mode(it)
		it.state = ready
		t.push(&step{putEntry, it})
		return nothing, nil
	}
	why, err := t.judge(it)
	if err != nil {
		return set.Want{}, err
	}
	if why != "" {
		t.enter(it, true)
		switch {
		case it.in == nil && it.kind == set.Directory:
			t.doom(it, why)
		case it.in != nil && a.tree != nil:
			// What is known of it is kept, in its turn: until then it counts as one that is
			// not settled, as steps are held in memory.
			t.doom(it, why)
			t.push(&step{putEntry, it})
		default:
			t.lose(it, why)
		}
		return nothing, nil
	}
	return t.accept(it)
}

// another reports whether a file that came in an earlier session is another one than the
// sender has now. Of one that is not in its place any more, nobody knows.
func (t *Target) another(it *item) bool {
	p := it.arg.before
	if filepath.Dir(p.Path) != filepath.Clean(t.cfg.Dir) {
		return false
	}
	is, err := t.into.lstat(filepath.Base(p.Path))
	if err != nil || is.inode != p.Inode {
		return false
	}
	return is.size != it.size || !sameTime(is.mtime, it.mtime, t.room.grain)
}

// doom fails an entry that is settled in its turn; the root of an argument when all of that
// was told.
func (t *Target) doom(it *item, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	it.state, it.reason = failing, why
}

// enter makes the directory that an entry is the one of the moment.
func (t *Target) enter(it *item, broken bool) {
	if it.kind != set.Directory {
		return
	}
	n := &node{item: it, parent: it.in}
	if it.in != nil {
		n.depth = it.in.depth + 1
		n.fresh = it.plan == planNew
	}
	if broken {
		n.broken = "the directory that it is in failed"
	}
	it.self = n
	t.stack = append(t.stack, n)
}

// judge decides about an entry, or says why nothing comes of it.
func (t *Target) judge(it *item) (why string, err error) {
	switch {
	case it.arg.lost != "":
		return it.arg.lost, nil
	case it.in != nil && it.in.broken != "":
		return it.in.broken, nil
	case it.word != "" && it.kind != set.Directory:
		return it.word, nil
	case t.cfg.MaxSize > 0 && it.size > t.cfg.MaxSize-t.apparent:
		return "larger than what may come", nil
	}
	t.apparent += it.size
	if it.in == nil {
		return t.judgeArgument(it)
	}
	if it.kind == set.Link {
		if _, ok := archive.Inside(it.in.depth, it.target); !ok {
			return "a link that leads out of the folder", nil
		}
	}
	it.names = namesFor(it.name)
	it.plan = planNew
	if it.in.fresh {
		return "", nil
	}
	d, err := it.arg.tree.look.at(it.in)
	if err == nil {
		why, err = t.compare(it, d)
	}
	switch {
	case err == nil:
		return why, nil
	case trouble(err):
		return "", err
	}
	return reason(err), nil
}

// judgeArgument decides about a file in the download directory.
func (t *Target) judgeArgument(it *item) (why string, err error) {
	it.plan = planNew
	if t.cfg.Conflict.Counts() {
		return "", nil
	}
	is, err := t.into.lstat(it.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err == nil && t.cfg.Conflict == inbox.Overwrite && is.kind.IsRegular():
		return "", nil
	case err == nil:
		return inbox.ErrExists.Error(), nil
	}
	return "", err
}

// accept takes an entry that something comes of.
func (t *Target) accept(it *item) (set.Want, error) {
	t.enter(it, false)
	if it.kind == set.Directory && !it.self.fresh {
		if why, err := t.use(it.self); err != nil {
			return set.Want{}, err
		} else if why != "" {
			it.self.broken = why
			t.doom(it, why)
		}
	}
	wanted := it.kind == set.File && it.plan >= planNew
	if !wanted && it.plan != planDate {
		it.state = ready
	}
	if it.in != nil || it.kind == set.File {
		t.push(&step{putEntry, it})
	}
	if it.plan == planDate {
		t.syncing <- it
	}
	if !wanted {
		return nothing, nil
	}
	want, err := t.resume(it)
	t.await = append(t.await, it)
	return want, err
}

// use sees to it that a directory that is there can be written in.
func (t *Target) use(n *node) (why string, err error) {
	d, err := n.arg.tree.look.at(n)
	if err == nil {
		n.old = n.seen.perm
		if n.old&0o700 != 0o700 {
			n.widened = true
			err = chmod(d.f, n.old|0o700)
		}
	}
	if err != nil && !trouble(err) {
		return reason(err), nil
	}
	return "", err
}
