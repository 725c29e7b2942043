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
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"jetsend/internal/fileid"
)

// namesAtOnce is how many names of a directory are read between two looks at
// the bounds.
const namesAtOnce = 1024

// rootName is what the file system's own root is called in an archive.
const rootName = "root"

// Scan takes the manifest of the directory dir, which may be a symbolic link
// to one. Nothing below it is followed. Every regular file is opened once, so
// that one that cannot be read fails here and not in the middle of a transfer.
// The entries that excluded names, unless it is nil, are left out, and what is in them;
// it is given paths below dir, with slashes.
//
// ErrTooMany when it is too large; a [ChangedError] when something vanished
// meanwhile; [fs.PathError] for what cannot be read.
func Scan(ctx context.Context, dir string, excluded Excluded) (*Manifest, error) {
	m, err := scan(ctx, dir, excluded)
	if err != nil {
		return nil, fmt.Errorf("list directory %q: %w", dir, err)
	}
	return m, nil
}

// Excluded reports whether an entry is to be left out.
type Excluded func(path string, dir bool) bool

func scan(ctx context.Context, dir string, excluded Excluded) (*Manifest, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	s := scanner{root: root, m: &Manifest{dir: abs, name: filepath.Base(abs), excluded: excluded}}
	if abs == filepath.Dir(abs) {
		s.m.name = rootName
	}
	err = s.top(ctx)
	if err = errors.Join(err, root.Close()); err != nil {
		return nil, err
	}
	return s.m, nil
}

type scanner struct {
	root  *os.Root
	m     *Manifest
	seen  int // entries, the skipped ones too
	names int // bytes of paths and targets
}

func (s *scanner) top(ctx context.Context) error {
	info, err := s.root.Stat(top)
	if err != nil {
		return err
	}
	if err := s.m.add(newEntry(top, tar.TypeDir, info)); err != nil {
		return err
	}
	return s.dir(ctx, top)
}

func newEntry(p string, kind byte, info fs.FileInfo) entry {
	e := entry{path: p, kind: kind, mode: info.Mode().Perm()}
	if kind == tar.TypeReg {
		e.size = info.Size()
	}
	e.sec, e.nsec = info.ModTime().Unix(), int64(info.ModTime().Nanosecond())
	return e
}

// dir adds what is in the directory at p. It holds no descriptor while it
// goes down.
func (s *scanner) dir(ctx context.Context, p string) error {
	found, err := s.list(ctx, p)
	if err != nil {
		return err
	}
	for _, e := range found {
		if err := s.m.add(e); err != nil {
			return fmt.Errorf("%q: %w", e.path, err)
		}
		if e.kind != tar.TypeDir {
			continue
		}
		if err := s.dir(ctx, e.path); err != nil {
			return err
		}
	}
	return nil
}

// list returns the sorted entries of one directory.
func (s *scanner) list(ctx context.Context, p string) (found []entry, err error) {
	d, err := s.root.OpenRoot(p)
	if err != nil {
		return nil, gone(p, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	names, err := s.read(ctx, d, p)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, reason, err := s.look(d, name, path.Join(p, name))
		switch {
		case err != nil:
			return nil, err
		case reason == reasonExcluded:
			s.seen--
			continue
		case reason != "":
			s.m.skipped = append(s.m.skipped, Skipped{path.Join(p, name), reason})
			continue
		}
		if s.names += len(e.path) + len(e.link); s.names > maxNames {
			return nil, fmt.Errorf("%w: names of more than %d bytes", ErrTooMany, maxNames)
		}
		found = append(found, e)
	}
	return found, nil
}

// read returns the names in the directory at p, without those that are excluded whatever
// they are: these need not be there any more when they are looked at.
func (s *scanner) read(ctx context.Context, d *os.Root, p string) (names []string, err error) {
	f, err := d.Open(top)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		some, err := f.Readdirnames(namesAtOnce)
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		some = slices.DeleteFunc(some, func(name string) bool {
			at := path.Join(p, name)
			return s.m.excludes(at, false) && s.m.excludes(at, true)
		})
		if s.seen += len(some); s.seen >= MaxEntries { // the top is one, too
			return nil, fmt.Errorf("%w: more than %d entries", ErrTooMany, MaxEntries)
		}
		names = append(names, some...)
	}
}

// reasonExcluded: the user wants it left out.
const reasonExcluded = "excluded"

// look describes what is called name in d, or says why it is skipped. p is the
// path of it.
func (s *scanner) look(d *os.Root, name, p string) (e entry, reason string, err error) {
	info, err := d.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.m.excludes(p, true): // it may have been a directory
		return e, reasonExcluded, nil
	case err != nil:
		return e, "", gone(p, err)
	case s.m.excludes(p, info.IsDir()): // before it is opened
		return e, reasonExcluded, nil
	case depth(p)+1 > MaxDepth:
		return e, "", fmt.Errorf("%w: more than %d levels at %q", ErrTooMany, MaxDepth, path.Dir(p))
	case len(p) > maxPath:
		return e, "", fmt.Errorf("%w: a path of more than %d bytes", ErrTooMany, maxPath)
	}
	switch mode := info.Mode(); mode.Type() {
	case 0:
		return file(d, name, p)
	case fs.ModeDir:
		return newEntry(p, tar.TypeDir, info), "", nil
	case fs.ModeSymlink:
		target, err := d.Readlink(name)
		if err != nil {
			return e, "", gone(p, err)
		}
		e = newEntry(p, tar.TypeSymlink, info)
		var ok bool
		if e.link, ok = Inside(depth(p), filepath.ToSlash(target)); !ok {
			return e, "symbolic link that leads out of the directory", nil
		}
		return e, "", nil
	case fs.ModeSocket:
		return e, "socket", nil
	case fs.ModeNamedPipe:
		return e, "named pipe", nil
	default:
		return e, "device", nil
	}
}

// file describes a regular file, and proves that it can be read.
func file(d *os.Root, name, p string) (e entry, reason string, err error) {
	f, err := open(d, name)
	if err != nil {
		return e, "", gone(p, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return e, "", err
	}
	if !info.Mode().IsRegular() || named(d, name, f) != nil {
		return e, "", &ChangedError{Path: p}
	}
	e = newEntry(p, tar.TypeReg, info)
	e.id, err = fileid.Of(f, info)
	return e, "", err
}

// gone makes a [ChangedError] of the errors that only say that a path is not
// what it was, and gives the others the whole path.
func gone(p string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &ChangedError{Path: p, Err: cause(err)}
	}
	return &fs.PathError{Op: "read", Path: strings.TrimPrefix(p, "./"), Err: cause(err)}
}

// cause takes off the operation and the path that the os package adds: for a
// root these are below a directory that nobody knows.
func cause(err error) error {
	var perr *fs.PathError
	if errors.As(err, &perr) {
		return perr.Err
	}
	return err
}
