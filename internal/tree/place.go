package tree

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"

	"jetsend/internal/archive"
	"jetsend/internal/filename"
	"jetsend/internal/fsys"
	"jetsend/internal/set"
)

// prepare writes down what a step is about to do.
func (g *group) prepare(s *step) error {
	it := s.it
	if s.what != putEntry || it.arg.tree == nil {
		return nil
	}
	tr := it.arg.tree
	g.in(tr)
	switch {
	case g.lost(it):
		g.fallen(it)
		return tr.rec.keep(it.key)
	case it.in == nil:
		return g.write(it, nil)
	case it.plan <= planDate:
		if it.kind != set.Directory {
			g.settled = append(g.settled, it)
		}
		return g.write(it, nil)
	}
	err := g.name(it)
	if err == nil {
		return nil
	}
	if it.kind == set.Directory {
		it.self.lost = reason(err)
	}
	return errors.Join(g.miss(it, err), tr.rec.keep(it.key))
}

// fallen settles an entry that failed when it was told. One that the session has not come to
// the end of is not settled at all.
func (g *group) fallen(it *item) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if it.state == failing {
		g.settled = append(g.settled, it)
	}
}

// write writes what the record says of an entry, behind a line that says what is there
// meanwhile.
func (g *group) write(it *item, meanwhile *line) error {
	rec := it.arg.tree.rec
	found, err := rec.take(it.key)
	if err != nil {
		return err
	}
	l := it.line()
	b := l.append(nil)
	for _, o := range found {
		if bytes.Equal(o.append(nil), b) {
			return rec.write(l)
		}
	}
	if meanwhile != nil {
		if err := rec.put(meanwhile); err != nil {
			return err
		}
	}
	return rec.put(l)
}

// name finds the name that an entry gets, and writes it down. A directory is made.
func (g *group) name(it *item) error {
	d, err := g.at(it)
	if err != nil {
		return err
	}
	switch it.kind {
	case set.Directory:
		return g.mkdir(it, d)
	case set.Link:
		if err := g.symlink(it); err != nil {
			return err
		}
	}
	if it.plan == planAside {
		if alike, err := g.alike(it, d); err != nil {
			return err
		} else if alike {
			it.plan, it.how = planNew, set.New
		}
	}
	if it.plan == planNew {
		if it.local, err = it.names.free(d); err != nil {
			return err
		}
	}
	if it.plan == planReplace {
		return g.write(it, it.match)
	}
	return g.write(it, nil)
}

// mkdir makes a directory. It can be used by its owner alone until all of it is there.
func (g *group) mkdir(it *item, d *dir) error {
	var err error
	for err == nil {
		if it.local, err = it.names.free(d); err != nil {
			break
		}
		merr := g.called(it, func() error { return d.mkdir(it.local, 0o700) })
		if merr == nil {
			it.in.dirty, it.self.dirty = true, true
			if it.is, err = d.lstat(it.local); err != nil {
				return err
			}
			return g.write(it, nil)
		}
		if trouble(merr) {
			return merr
		}
		if !errors.Is(merr, fs.ErrExist) {
			it.names.other()
		}
		if it.names.over() {
			err = merr
		}
	}
	return err
}

// symlink makes a link that has no name yet.
func (g *group) symlink(it *item) error {
	r := it.arg.room
	temp := r.temp()
	if err := r.hide.symlink(it.target, temp); err != nil {
		return err
	}
	it.temp = temp
	_ = r.hide.dateLink(temp, it.mtime) // not every file system has times of links
	is, err := r.hide.lstat(temp)
	it.is = is
	return err
}

// alike reports whether what has the name of an entry is something of this set, or only has
// a name that the file system takes for the same.
func (g *group) alike(it *item, d *dir) (bool, error) {
	if it.in.given[maphash.String(seed, it.local)] {
		return true, nil
	}
	exact, err := it.in.listed.has(d, it.local)
	return !exact, err
}

// maxGiven bounds the names of one directory that are remembered.
const maxGiven = 1 << 16

// called has a name given to an entry, and notes it, before anybody can see the one without
// the other.
func (g *group) called(it *item, give func() error) error {
	g.naming.Lock()
	defer g.naming.Unlock()
	err := give()
	if err == nil {
		g.rename(it)
	}
	return err
}

// rename takes note of the name that an entry has got. The caller holds g.naming.
func (g *group) rename(it *item) {
	if it.local == it.name {
		return
	}
	it.renamed = it.local
	if it.in.given == nil {
		it.in.given = map[uint64]bool{}
	}
	if len(it.in.given) < maxGiven {
		it.in.given[maphash.String(seed, it.local)] = true
	}
}

// do does a step.
func (g *group) do(s *step) error {
	it := s.it
	switch s.what {
	case putEntry:
		return g.put(it)
	case endDirectory:
		return g.endDirectory(it)
	case leaveDirectory:
		return g.leaveDirectory(it)
	}
	g.ended = append(g.ended, s)
	switch {
	case s.what == endArgument:
		return g.endArgument(it)
	case it.arg.tree == nil:
		return nil
	}
	g.in(it.arg.tree)
	return g.restore(it.self, it.arg.tree.top)
}

// put gives an entry its name.
func (g *group) put(it *item) error {
	switch {
	case g.lost(it) || it.plan <= planDate:
		return nil
	case it.in == nil:
		g.arrivals = append(g.arrivals, &arrival{it: it, from: it.temp, base: it.arg.name})
		return nil
	case it.kind == set.Directory:
		return nil
	}
	d, err := g.at(it)
	if err == nil {
		err = g.called(it, func() error { return g.place(it, d) })
	}
	if err != nil {
		return g.miss(it, err)
	}
	it.temp = ""
	it.in.dirty = true
	g.settled = append(g.settled, it)
	return nil
}

// place gives a file or a link its name.
func (g *group) place(it *item, d *dir) error {
	if it.plan != planNew {
		is, err := d.lstat(it.local)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case it.plan == planReplace && it.stays(is):
			return it.arg.room.hide.replace(it.temp, d, it.local)
		case is.kind.IsDir():
			return errChanged
		default:
			if err := g.aside(it, d); err != nil {
				return err
			}
		}
	}
	return g.move(it, d)
}

// errChanged says that somebody was faster.
var errChanged = fmt.Errorf("a directory was put in its place: %w", fs.ErrExist)

// stays reports whether what is there is still what was seen.
func (it *item) stays(is facts) bool {
	return is.kind == it.seen.kind && is.size == it.seen.size && is.inode == it.seen.inode && is.mtime.Equal(it.seen.mtime)
}

// maxAside bounds the names of what is kept beside.
const maxAside = 10_000

// errCrowded says that there are too many of them.
var errCrowded = fmt.Errorf("%d files are kept beside it: %w", maxAside, fs.ErrExist)

// aside gives what somebody has changed another name.
func (g *group) aside(it *item, d *dir) error {
	for n := 1; n < maxAside; n++ {
		name := filename.Numbered(it.local, n)
		err := d.move(it.local, d, name)
		if err == nil {
			it.kept = name
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errCrowded
}

// move gives a file or a link a name that is free: the one that was found so, or another
// one when somebody was faster, or the file system cannot hold it.
func (g *group) move(it *item, d *dir) error {
	for {
		err := it.arg.room.hide.move(it.temp, d, it.local)
		if err == nil || trouble(err) {
			return err
		}
		if !errors.Is(err, fs.ErrExist) {
			it.names.other()
		}
		if it.names.over() {
			return err
		}
		if it.local, err = it.names.free(d); err != nil {
			return err
		}
		if err := it.arg.tree.rec.amend(it.line()); err != nil {
			return err
		}
	}
}

// endDirectory gives a directory its mode and time, when all that is in it is there.
func (g *group) endDirectory(it *item) error {
	if it.arg.tree == nil || g.lost(it) {
		return nil
	}
	g.in(it.arg.tree)
	it.self.dirty = it.self.dirty || it.arg.tree.again
	d, err := it.arg.tree.commit.at(it.self)
	if err == nil {
		err = g.finish(it.self, d)
	}
	if err != nil {
		return g.miss(it, err)
	}
	g.doomed(it)
	g.settled = append(g.settled, it)
	return nil
}

// doomed fails a directory of which the sender has not got all.
func (g *group) doomed(it *item) {
	if it.word != "" {
		g.doom(it, it.word)
	}
}

// finish gives an open directory its mode and time. As of a file, what was changed here
// stays as long as it is not changed there.
func (g *group) finish(n *node, d *dir) error {
	is, err := factsOf(d.f)
	if err != nil {
		return err
	}
	mode := n.arg.room.mode(n.mode, true)
	if n.found() {
		return g.restore(n, d)
	}
	if n.arg.tree.updates && n.match != nil && n.match.mode == n.mode && n.plan == planEqual {
		mode = n.old
	}
	if is.perm != mode {
		n.dirty = true
		if err := chmod(d.f, mode); err != nil && !fsys.Lacking(err) {
			return err
		}
	}
	if !sameTime(is.mtime, n.mtime, n.arg.room.grain) {
		n.dirty = true
		_ = archive.SetTime(d.f, n.mtime) // as for a file
	}
	return nil
}

// leaveDirectory gives a directory of a session that was cut back what it had, or a new one
// what it is to have: later it could not be told from one that was shut here.
func (g *group) leaveDirectory(it *item) error {
	made := it.arg.tree != nil && it.arg.tree.updates && it.plan == planNew
	if it.arg.tree == nil || !it.self.widened && !made || g.lost(it) {
		return nil
	}
	g.in(it.arg.tree)
	d, err := it.arg.tree.commit.at(it.self)
	if err != nil {
		return nil // it is not there any more
	}
	if made {
		return g.finish(it.self, d)
	}
	return g.restore(it.self, d)
}

func (g *group) restore(n *node, d *dir) error {
	if !n.widened {
		return nil
	}
	if err := chmod(d.f, n.old); err != nil && trouble(err) {
		return err
	}
	return nil
}
