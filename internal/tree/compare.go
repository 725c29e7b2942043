package tree

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io/fs"
	"os"

	"jetsend/internal/fsys"
	"jetsend/internal/set"
)

// The entries that are there: what is on the disk is compared with what was sent and what
// the record says.

// compare decides about an entry in a directory that is there.
func (t *Target) compare(it *item, d *dir) (why string, err error) {
	found := it.arg.tree.old.find(it.key)
	there, err := t.find(it, d, found)
	if err != nil || !there {
		return "", err
	}
	if len(found) == 0 && t.givenAway(it) {
		return "", nil
	}
	if why, done := t.other(it, found); done {
		return why, nil
	}
	switch it.kind {
	case set.Directory:
		return "", t.compareDirectory(it, d, len(found) > 0)
	case set.Link:
		return "", t.compareLink(it, d)
	}
	return t.compareFile(it, d)
}

// givenAway reports whether another entry of this session has got the name of this one,
// since its own could not be had.
func (t *Target) givenAway(it *item) bool {
	t.naming.Lock()
	defer t.naming.Unlock()
	return it.in.given[maphash.String(seed, it.local)]
}

// find looks for what has the name of an entry: the name that the record says, or else its
// own. Of more than one line of the record, that one counts which says the same as the disk.
func (t *Target) find(it *item, d *dir, found []*line) (there bool, err error) {
	for _, l := range found {
		is, err := d.lstat(l.named())
		if absent(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		if !there {
			it.local, it.seen, there = l.named(), is, true
		}
		if t.matches(it.arg.room, l, is) {
			it.local, it.seen, it.match = l.named(), is, l
			return true, nil
		}
	}
	if there || len(found) > 0 && found[0].name != "" {
		return there, nil
	}
	is, err := d.lstat(it.name)
	if absent(err) {
		return false, nil
	}
	it.local, it.seen = it.name, is
	return err == nil, err
}

// absent reports whether nothing has a name: that it cannot be one is the same.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || fsys.Unnameable(err) }

// matches reports whether what is there is what the record says. Of a link, its target is
// compared when that is read.
func (t *Target) matches(r *room, l *line, is facts) bool {
	if kindOf(is) != l.kind || r.steady && l.key != "" && l.inode != is.inode {
		return false
	}
	return l.kind != set.File || l.length == is.size && sameTime(l.changed, is.mtime, r.grain)
}

func kindOf(is facts) set.Kind {
	switch {
	case is.kind.IsRegular():
		return set.File
	case is.kind.IsDir():
		return set.Directory
	case is.kind == fs.ModeSymlink:
		return set.Link
	}
	return 0
}

// other decides about an entry that something of another kind is in the place of. In a
// folder that is hidden, that is something of this set whose name is alike.
func (t *Target) other(it *item, found []*line) (why string, done bool) {
	if kindOf(it.seen) == it.kind {
		return "", false
	}
	if !it.arg.tree.updates && len(found) == 0 {
		return "", true // its name is taken
	}
	switch kindOf(it.seen) {
	case set.Directory:
		return "a directory is in its place", true
	case set.File:
		return "a file is in its place", true
	case set.Link:
		return "a link is in its place", true
	}
	return "something else is in its place", true
}

// compareDirectory uses a directory that is there, unless it only has a name that the file
// system takes for the same.
func (t *Target) compareDirectory(it *item, d *dir, recorded bool) error {
	if !recorded {
		exact, err := it.in.seenBy.has(d, it.name)
		if err != nil || !exact {
			return err
		}
	}
	it.plan, it.how = planEqual, t.same(it)
	return nil
}

// same is how an entry that is there is told of: in a folder that is new, it is new.
func (t *Target) same(it *item) set.How {
	if !it.arg.tree.updates {
		return set.New
	}
	return set.Equal
}

func (t *Target) compareLink(it *item, d *dir) error {
	target, err := d.readlink(it.local)
	if err != nil {
		return err
	}
	if it.match != nil && it.match.target != target {
		it.match = nil
	}
	if target == it.target {
		it.plan, it.how = planEqual, t.same(it)
		return nil
	}
	t.supplant(it)
	return nil
}

// supplant decides what becomes of what is there, which is another one.
func (t *Target) supplant(it *item) {
	switch {
	case it.match != nil:
		it.plan, it.how = planReplace, set.Changed
	case !it.arg.tree.updates:
		it.plan = planNew // of a name that is alike, or nobody knows
	default:
		it.plan, it.how = planAside, set.Changed
	}
	if !it.arg.tree.updates {
		it.how = set.New
	}
}

func (t *Target) compareFile(it *item, d *dir) (why string, err error) {
	r := it.arg.room
	equal := it.seen.size == it.size && (it.match != nil || it.arg.tree.updates)
	switch {
	case !equal:
	case it.digest != nil:
		if equal, err = t.hashes(it, d); err != nil {
			return "", err
		}
	default:
		equal = sameTime(it.seen.mtime, it.mtime, r.grain) ||
			it.match != nil && it.match.size == it.size && it.match.mtime.Equal(it.mtime)
	}
	if !equal {
		t.supplant(it)
		return "", nil
	}
	it.plan, it.how = planEqual, t.same(it)
	return "", t.attributes(it, d)
}

// attributes decides about mode and time of a file that is there. What somebody has
// changed here stays, as long as nobody has changed it there. The attributes belong to
// all names of a file: one that has others is not touched.
func (t *Target) attributes(it *item, d *dir) error {
	r := it.arg.room
	mode := it.seen.perm != r.mode(it.mode, false) && (it.match == nil || it.match.mode != it.mode)
	date := !sameTime(it.seen.mtime, it.mtime, r.grain) && (it.match == nil || !it.match.mtime.Equal(it.mtime))
	if !mode && !date {
		return nil
	}
	f, err := t.alone(it, d)
	if err != nil {
		return err
	}
	if f != nil {
		it.f, it.plan = f, planDate
	} else if it.match != nil {
		t.supplant(it)
	}
	return nil
}

// alone opens a file that is there, if its attributes may be changed.
func (t *Target) alone(it *item, d *dir) (*os.File, error) {
	if it.seen.links != 1 || it.seen.owner != it.arg.room.owner {
		return nil, nil
	}
	f, is, err := d.file(it.local, false)
	if err == nil && (is.inode != it.seen.inode || is.links != 1) {
		return nil, f.Close()
	}
	if err != nil && !trouble(err) {
		return nil, nil
	}
	return f, err
}

// hashes reports whether a file that is there has the content that is to be sent. Between
// the extents of one that is sparse, there are only zeros.
func (t *Target) hashes(it *item, d *dir) (bool, error) {
	f, is, err := d.file(it.local, false)
	if err != nil {
		return false, err
	}
	sum := set.NewSum(it.sparse)
	from := &paid{t.ctx, f, t.cfg.Pay}
	err = sum.Read(from, it.extents, it.size)
	equal := err == nil && is.size == it.size && bytes.Equal(sum.Sum(nil), it.digest)
	if equal && it.sparse {
		equal, err = zeros(from, it.extents, it.size)
	}
	return equal, errors.Join(err, f.Close())
}

// zeros reports whether a file has nothing but zeros outside of its extents.
func zeros(r *paid, x []set.Extent, size int64) (bool, error) {
	b, at := make([]byte, 64<<10), int64(0)
	for _, e := range append(x[:len(x):len(x)], set.Extent{Offset: size}) {
		for at < e.Offset {
			n, err := r.ReadAt(b[:min(int64(len(b)), e.Offset-at)], at)
			if n == 0 {
				return false, err
			}
			if len(bytes.TrimLeft(b[:n], "\x00")) > 0 {
				return false, nil
			}
			at += int64(n)
		}
		at = e.Offset + e.Length
	}
	return true, nil
}

// mode looks at the root of a folder, and sees to it that it can be written in.
func (tr *tree) mode(it *item) {
	is, err := factsOf(tr.top.f)
	if err != nil {
		return // what fails later says why
	}
	it.seen, it.self.old = is, is.perm
	if tr.updates {
		it.plan, it.how = planEqual, set.Equal
	}
	if found := tr.old.find(""); len(found) > 0 {
		it.match = found[0]
	}
	if is.perm&0o700 != 0o700 {
		it.self.widened = true
		_ = chmod(tr.top.f, is.perm|0o700) // likewise
	}
}
