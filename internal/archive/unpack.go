package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"jetsend/internal/filename"
	"jetsend/internal/fsys"
)

const (
	// maxAlike bounds how many names of one directory may fall together: a
	// search that every entry of a hostile archive goes through.
	maxAlike = 100
	// bufferSize is that of the stream's own buffers.
	bufferSize = 256 << 10
)

// made is something that was created.
type made struct {
	path string // below the top, as it is on the disk
	dir  bool
	mode fs.FileMode // of a directory, to be set at the end
	time time.Time   // likewise
}

// link is a symbolic link that is to be made. An empty file keeps its place.
type link struct {
	raw    string // path in the archive, below the top
	path   string // on the disk
	target string // as in the archive
}

type unpacker struct {
	root   *os.Root // the top
	limits Limits
	name   string // of the top in the archive, "" before it came
	made   map[string]made
	links  []link
	names  int // bytes of paths and targets
	umask  fs.FileMode
	tree   Tree
	buf    []byte

	makeLink func(root *os.Root, target, path string) error
}

// source is the reader of the archive. It ends with its context, and remembers
// whether an error was its own or one of the format.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (s *source) Read(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// unpack makes everything below root, and syncs it.
func unpack(ctx context.Context, r io.Reader, root *os.Root, symlink func(root *os.Root, target, path string) error, limits Limits) (Tree, error) {
	limits.Entries = bound(limits.Entries, MaxEntries)
	limits.Depth = bound(limits.Depth, MaxDepth)
	u := unpacker{root: root, limits: limits, made: map[string]made{}, buf: make([]byte, bufferSize), makeLink: symlink}
	if symlink == nil {
		u.makeLink = (*os.Root).Symlink
	}
	var err error
	if u.umask, err = umask(root); err != nil {
		return Tree{}, err
	}
	err = u.all(&source{ctx: ctx, r: r})
	if err == nil {
		err = u.makeLinks()
	}
	if err == nil {
		err = u.finish()
	}
	return u.tree, err
}

func bound(n, most int) int {
	if n <= 0 {
		return most
	}
	return min(n, most)
}

// umask learns the umask, which can only be read by changing it, by making a
// directory that asks for everything. That one also shows whose directories are
// that we make: root has to be such a one, which nobody else may write.
func umask(root *os.Root) (fs.FileMode, error) {
	const probe = "umask"
	if err := root.Mkdir(probe, 0o777); err != nil {
		return 0, err
	}
	info, err := root.Lstat(probe)
	self, serr := root.Stat(top)
	if err = errors.Join(err, serr, root.Remove(probe)); err != nil {
		return 0, err
	}
	const othersWrite fs.FileMode = 0o022
	if owner(self) != owner(info) || self.Mode().Perm()&othersWrite&^info.Mode().Perm() != 0 {
		return 0, errExchanged
	}
	return ^info.Mode().Perm() & fs.ModePerm, nil
}

// all goes through the entries.
func (u *unpacker) all(src *source) error {
	t := tar.NewReader(src)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			if u.name == "" {
				return refuse("", "it is empty")
			}
			return nil
		case src.err != nil:
			return src.err
		case err != nil:
			return &RefusedError{Reason: "not a tar stream", Err: err}
		}
		if err := u.entry(h, t); err != nil {
			if src.err != nil {
				return src.err
			}
			return err
		}
	}
}

func (u *unpacker) entry(h *tar.Header, data io.Reader) error {
	raw, err := u.locate(h)
	if err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode) & fs.ModePerm
	switch {
	case h.Typeflag == tar.TypeDir:
		return u.directory(h, raw, mode)
	case raw == top:
		return refuse(h.Name, "it does not begin with a directory")
	case h.Typeflag == tar.TypeReg:
		return u.file(h, raw, mode, data)
	default:
		return u.symlink(h, raw)
	}
}

// locate checks what can be checked without looking at the disk, and returns
// the path of an entry below the top.
func (u *unpacker) locate(h *tar.Header) (string, error) {
	name := h.Name
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
	}
	switch {
	case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeSymlink:
		return "", refuse(h.Name, fmt.Sprintf("neither file, directory nor symbolic link, but type %q", h.Typeflag))
	case sparse(h):
		return "", refuse(h.Name, "sparse file")
	case name == "", name != path.Clean(name), name == top, name == "..", path.IsAbs(name), strings.HasPrefix(name, "../"):
		return "", refuse(h.Name, "not a path inside the archive")
	case len(u.made) >= u.limits.Entries:
		return "", refuse(h.Name, fmt.Sprintf("more than %d entries", u.limits.Entries))
	}
	first, rest, below := strings.Cut(name, "/")
	if !below {
		rest = top
	}
	u.names += len(rest) + len(h.Linkname)
	switch {
	case len(rest) > maxPath, u.names > maxNames:
		return "", refuse(h.Name, "names too long")
	case u.name == "" && !below:
		u.name = first
	case first != u.name, u.name == "":
		return "", refuse(h.Name, "not below the one directory at the top")
	case below && depth(rest)+1 > u.limits.Depth:
		return "", refuse(h.Name, fmt.Sprintf("deeper than %d levels", u.limits.Depth))
	}
	if _, ok := u.made[rest]; ok {
		return "", refuse(h.Name, "twice in the archive")
	}
	return rest, nil
}

// sparse reports whether a file has holes that are not in the stream: its size
// would then say nothing about the stream's. (The older form is a type.)
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// claim creates something for the archive's path raw, under the first name
// that is free: what create makes must not have been there. Which names are
// the same is for the file system to say.
func (u *unpacker) claim(raw string, create func(p string) error) (string, error) {
	parent, ok := u.made[path.Dir(raw)]
	if !ok || !parent.dir {
		return "", refuse(raw, "not in a directory of the archive")
	}
	base := path.Base(raw)
	p, err := firstFree(parent.path, base, func(p string) error {
		if !nameable(base) {
			return errName
		}
		return create(p)
	})
	// A file system that cannot hold the name holds a safe one, or one of letters alone.
	// What it says then differs: that of Windows knows no "aux.c", FAT no "...".
	safe := filename.Component(base)
	for _, other := range []string{safe, filename.Plain(safe)} {
		if err != nil && !errors.Is(err, fs.ErrExist) && !trouble(err) && other != base {
			p, err = firstFree(parent.path, other, create)
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", refuse(raw, fmt.Sprintf("more than %d names that are alike", maxAlike))
	case err != nil:
		return "", err
	}
	if path.Base(p) != base {
		u.tree.changed(Change{Path: raw, Now: p})
	}
	return p, nil
}

// errName says that the system takes a name for something else.
var errName = errors.New("not a name on this system")

// firstFree creates something under the first free name; fs.ErrExist when there
// are too many that are alike.
func firstFree(dir, name string, create func(p string) error) (string, error) {
	for n := range maxAlike {
		p := path.Join(dir, filename.Numbered(name, n))
		if err := create(p); !errors.Is(err, fs.ErrExist) {
			return p, err
		}
	}
	return "", fs.ErrExist
}

// directory makes a directory that only the owner can use until it is full.
func (u *unpacker) directory(h *tar.Header, raw string, mode fs.FileMode) error {
	m := made{path: top, dir: true, mode: mode &^ u.umask, time: h.ModTime}
	if raw != top { // which is there
		var err error
		m.path, err = u.claim(raw, func(p string) error { return u.root.Mkdir(p, 0o700) })
		if err != nil {
			return err
		}
	}
	u.tree.Dirs++
	u.made[raw] = m
	return nil
}

// file writes a regular file and syncs it.
func (u *unpacker) file(h *tar.Header, raw string, mode fs.FileMode, data io.Reader) error {
	if h.Size > u.limits.Bytes-u.tree.Bytes {
		return refuse(h.Name, fmt.Sprintf("more than %d bytes in files", u.limits.Bytes))
	}
	var f *os.File
	p, err := u.claim(raw, func(p string) (err error) {
		f, err = u.root.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		return err
	})
	if err != nil {
		return err
	}
	err = u.fill(f, h, data)
	// A time that the file system cannot hold is no reason to throw away what
	// has been verified.
	_ = SetTime(f, h.ModTime)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	u.tree.Files++
	u.made[raw] = made{path: p}
	return nil
}

// fill writes the content of a file.
func (u *unpacker) fill(f *os.File, h *tar.Header, data io.Reader) error {
	// Without the file's own ReadFrom, which would not use the buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, data, u.buf)
	u.tree.Bytes += n
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(h.Name, "it is cut off")
	}
	return err
}

// symlink keeps the place of a link.
func (u *unpacker) symlink(h *tar.Header, raw string) error {
	target, ok := Inside(depth(raw), h.Linkname)
	if !ok {
		return refuse(h.Name, "symbolic link that leads out")
	}
	p, err := u.claim(raw, func(p string) error {
		f, err := u.root.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		return err
	}
	u.made[raw] = made{path: p}
	u.links = append(u.links, link{raw: raw, path: p, target: target})
	return nil
}

// makeLinks makes the links, after everything else was written. Those that the file
// system does not have (FAT, exFAT, network file systems) are left out: they are no
// reason to throw everything else away.
func (u *unpacker) makeLinks() error {
	for _, l := range u.links {
		if err := u.root.Remove(l.path); err != nil {
			return err
		}
		err := u.makeLink(u.root, u.retarget(l), l.path)
		switch {
		case fsys.Lacking(err), fsys.TooLong(err): // of the target: some have room for less
			u.tree.changed(Change{Path: l.raw, Err: err})
		case err != nil:
			return err
		default:
			u.tree.Links++
		}
	}
	return nil
}

// retarget returns the target of a link in terms of the names that there are
// now. It has as many steps up as before, and as many names after them, none of them
// "..": so it is inside, as the one in the archive was.
func (u *unpacker) retarget(l link) string {
	names := strings.Split(l.target, "/")
	up := 0
	for up < len(names) && (names[up] == ".." || names[up] == ".") {
		up++
	}
	raw := path.Join(path.Dir(l.raw), strings.Join(names[:up], "/"))
	for i := up; i < len(names); i++ {
		raw = path.Join(raw, names[i])
		if m, ok := u.made[raw]; ok {
			names[i] = path.Base(m.path)
		}
	}
	return strings.Join(names, "/")
}

// finish gives the directories their modes and times and syncs them, what is
// deeper first: a directory's time changes with what is made in it, and its
// mode may shut it.
func (u *unpacker) finish() error {
	var dirs []made
	for _, m := range u.made {
		if m.dir {
			dirs = append(dirs, m)
		}
	}
	slices.SortFunc(dirs, func(a, b made) int { return strings.Compare(b.path, a.path) })
	for _, m := range dirs {
		if m.path != top {
			if err := u.seal(m); err != nil {
				return err
			}
		}
	}
	return u.seal(u.made[top])
}

func (u *unpacker) seal(m made) (err error) {
	d, err := u.root.Open(m.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	_ = SetTime(d, m.time) // as for a file
	if err := d.Chmod(m.mode); err != nil && !fsys.Lacking(err) {
		return err
	}
	return fsys.SyncNames(d)
}
