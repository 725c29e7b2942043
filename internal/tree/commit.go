package tree

import (
	"errors"
	"sync"

	"jetsend/internal/set"
)

// maxGroup bounds the steps that are brought to the disk together, and so how long nobody
// hears of the first of them.
const maxGroup = 1024

// group is what the committer does together.
type group struct {
	*Target
	within   []*tree    // folders that the steps are in, in their order
	dirty    []*dir     // directories with names that are not
	arrivals []*arrival // that are to get their names
	ended    []*step    // arguments that have come to an end
	settled  []*item
}

// commit puts entries into their places, in the order of the index.
func (t *Target) commit() {
	for {
		steps := t.take()
		if steps == nil {
			return
		}
		g := &group{Target: t}
		if err := g.run(steps); err != nil {
			t.fail(ours(err))
			return
		}
	}
}

// take waits for steps that can be done: all up to the first that cannot.
func (t *Target) take() []*step {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if t.broken != nil || t.ending && len(t.queue) == 0 {
			return nil
		}
		n := 0
		for n < len(t.queue) && n < maxGroup && (t.queue[n].what != putEntry || t.queue[n].it.state != waiting) {
			n++
		}
		if n > 0 {
			steps := t.queue[:n:n]
			t.queue = t.queue[n:]
			return steps
		}
		t.wake.Wait()
	}
}

// run does steps: names are written down and made durable, then made, then made durable
// themselves; then everybody is told.
func (g *group) run(steps []*step) error {
	if err := g.each(steps, g.prepare); err != nil {
		return err
	}
	for _, tr := range g.within {
		if err := tr.rec.sync(); err != nil {
			return err
		}
	}
	err := g.each(steps, g.do)
	if err == nil {
		err = g.syncNames()
	}
	if err == nil {
		err = g.arrive()
	}
	if err != nil {
		return err
	}
	for _, it := range g.settled {
		g.settle(it)
	}
	for _, s := range g.ended {
		if s.what == endArgument {
			g.tell(s.it)
		}
	}
	return nil
}

// each does something for each step. Directories that are left meanwhile are synced before
// too many of them are open.
func (g *group) each(steps []*step, do func(*step) error) error {
	for _, s := range steps {
		err := do(s)
		if err == nil && len(g.dirty) >= maxDirty {
			err = g.flush()
		}
		if err != nil {
			g.drop()
			return err
		}
	}
	return nil
}

// drop closes what will not be synced.
func (g *group) drop() {
	for _, d := range g.dirty {
		_ = d.close()
	}
	g.dirty = nil
}

// lost reports whether nothing comes of an entry.
func (g *group) lost(it *item) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return it.state >= failing
}

// in takes note of the folder that a step is in.
func (g *group) in(tr *tree) {
	if len(g.within) == 0 || g.within[len(g.within)-1] != tr {
		g.within = append(g.within, tr)
		tr.commit.left = g.keep
	}
}

// at opens the directory that an entry is in, or says why it cannot be.
func (g *group) at(it *item) (*dir, error) {
	if it.in.lost != "" {
		return nil, errLost
	}
	tr := it.arg.tree
	d, err := tr.commit.at(it.in)
	if err != nil && !trouble(err) {
		it.in.lost = reason(err)
	}
	return d, err
}

// errLost says that a directory could not be made, as was said of it.
var errLost = errors.New("the directory that it is in failed")

// keep keeps a directory open that has to be synced.
func (g *group) keep(n *node, d *dir) bool {
	if n.dirty {
		n.dirty = false
		g.dirty = append(g.dirty, d)
		return true
	}
	return false
}

// maxDirty bounds the directories that are open because they were not synced.
const maxDirty = 64

// syncNames makes names durable. The first directory brings most of what the others
// have to the disk.
func (g *group) syncNames() error {
	for _, tr := range g.within {
		tr.commit.up(0)
		if tr.root.dirty {
			tr.root.dirty = false
			if err := tr.top.sync(); err != nil {
				g.drop()
				return err
			}
		}
	}
	return g.flush()
}

// flush syncs the directories that have been left, and closes them.
func (g *group) flush() error {
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for i := range min(workers, len(g.dirty)) {
		wg.Go(func() {
			for j := i; j < len(g.dirty); j += workers {
				errs[i] = errors.Join(errs[i], g.dirty[j].sync(), g.dirty[j].close())
			}
		})
	}
	wg.Wait()
	g.dirty = nil
	return errors.Join(errs...)
}

// miss fails an entry for an error, if that is one of it alone.
func (g *group) miss(it *item, err error) error {
	switch {
	case errors.Is(err, errLost):
		g.lose(it, errLost.Error())
	case trouble(err):
		return err
	default:
		g.lose(it, reason(err))
	}
	if it.temp == "" {
		return nil
	}
	if err := it.discard(); err != nil && trouble(err) {
		return err
	}
	return nil
}

// line is what the record says of an entry that has, or is to get, its local name.
func (it *item) line() *line {
	l := &line{key: it.key, kind: it.kind, size: it.size, mtime: it.mtime, mode: it.mode, target: it.target}
	if it.local != it.name && it.in != nil {
		l.name = it.local
	}
	is := it.is
	if it.plan == planEqual {
		is = it.seen
	}
	switch it.kind {
	case set.File:
		l.length, l.changed, l.inode = is.size, is.mtime, is.inode
	case set.Link:
		l.inode = is.inode
	case set.Directory:
		l.inode = is.inode
		if it.found() {
			l.length = found
		}
		if it.in == nil {
			l.changed = it.arg.tree.born
		}
	}
	return l
}

// found reports whether a directory was there, and no set has made it: what is sent changes
// what is in it, and not the directory.
func (it *item) found() bool {
	return it.in != nil && it.arg.tree.updates && it.plan == planEqual && (it.match == nil || it.match.length == found)
}
