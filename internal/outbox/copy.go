package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"jetsend/internal/exclude"
	"jetsend/internal/fsys"
	"jetsend/internal/spool"
	"jetsend/internal/state"
)

// Copy makes a private copy of what an entry sends, and has the entry send that. Without error
// it is on the disk; with one, nothing is left. [spool.ErrNoSpace] when there is no room.
func (b *Box) Copy(e *Entry) error {
	dir, err := b.room(e.ID)
	if err != nil {
		return err
	}
	files := make([]File, len(e.Files))
	for i, f := range e.Files {
		// Each in a directory of its own: two may have one name.
		into := filepath.Join(dir, fmt.Sprint(i))
		if err = os.Mkdir(into, 0o700); err != nil {
			break
		}
		to := filepath.Join(into, filepath.Base(f.Path))
		if err = copyAll(f, to); err == nil {
			err = fsys.SyncDir(into)
		}
		if err != nil {
			break
		}
		files[i] = File{Path: to, Name: f.Name, Exclude: f.Exclude}
	}
	if err == nil {
		err = b.sync(dir)
	}
	if err != nil {
		return errors.Join(noSpace(err), b.discard(e.ID))
	}
	e.Files = files
	return nil
}

// Take is Copy of an input, which is offered under a name: spool.Create says how it is read, and
// what its errors are. It returns how many bytes there were.
func (b *Box) Take(ctx context.Context, e *Entry, in io.Reader, name string, maxSize int64) (size int64, err error) {
	dir, err := b.room(e.ID)
	if err != nil {
		return 0, err
	}
	f, err := spool.Create(ctx, in, dir, e.ID, maxSize)
	if err == nil {
		size, err = f.Size(), errors.Join(f.Close(), b.sync(dir))
	}
	if err != nil {
		return 0, errors.Join(err, b.discard(e.ID))
	}
	e.Files = []File{{Path: spool.Path(dir, e.ID), Name: name}}
	return size, nil
}

// room makes the directory for the copy of an entry.
func (b *Box) room(id string) (string, error) {
	dir := filepath.Join(b.dir, id)
	if err := state.Private(b.dir); err != nil {
		return "", fmt.Errorf("copy: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("copy: %w", err)
	}
	return dir, nil
}

// sync makes the directory of a copy durable, with all that leads to it from the state directory.
func (b *Box) sync(dir string) error {
	return errors.Join(fsys.SyncDir(dir), fsys.SyncDir(b.dir), fsys.SyncDir(filepath.Dir(b.dir)))
}

func noSpace(err error) error {
	if fsys.Full(err) {
		return fmt.Errorf("copy: %w: %w", spool.ErrNoSpace, err)
	}
	return fmt.Errorf("copy: %w", err)
}

// walk calls f for what is in a file or directory and is not left out. rel is "." at the top. What
// cannot be looked at, or goes meanwhile, is its error, but with lenient only at the top.
func walk(of File, lenient bool, f func(path, rel string, info fs.FileInfo) error) error {
	left, err := exclude.Parse(of.Exclude...)
	if err != nil {
		return err
	}
	root := leadsTo(of.Path)
	visit := func(path string, d fs.DirEntry) error {
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if rel != "." && left.Excludes(filepath.ToSlash(rel), d.IsDir()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		switch {
		case err == nil:
			return f(path, rel, info)
		case lenient && rel != ".":
			return nil
		}
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err == nil:
			return visit(path, d)
		case lenient && path != root:
			return nil // it is of a directory that was visited
		}
		return err
	})
}

// leadsTo is what a path leads to: the user who names a link means that.
func leadsTo(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	return path
}

// copyAll copies a file or a directory, with modes and times. What is neither, nor a link, is
// left out, as it is when it is sent.
func copyAll(of File, to string) error {
	type dated struct {
		path string
		info fs.FileInfo
	}
	var dirs []dated
	err := walk(of, false, func(path, rel string, info fs.FileInfo) error {
		target := filepath.Join(to, rel)
		switch {
		case info.IsDir():
			dirs = append(dirs, dated{target, info})
			return os.Mkdir(target, 0o700)
		case info.Mode().Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !info.Mode().IsRegular():
			return nil
		}
		if err := copyFile(path, target, info.Mode().Perm()|0o600); err != nil {
			return err
		}
		return errors.Join(os.Chmod(target, info.Mode().Perm()), os.Chtimes(target, info.ModTime(), info.ModTime()))
	})
	// From the inside out, since what is made in a directory changes its time.
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		d := dirs[i]
		err = errors.Join(fsys.SyncDir(d.path), os.Chmod(d.path, d.info.Mode().Perm()|0o700), os.Chtimes(d.path, d.info.ModTime(), d.info.ModTime()))
	}
	return err
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close(), in.Close())
}

// StampOf is a hash of what files are: names, kinds, sizes, times; and how many bytes they have. They
// may have changed when the hash is another one. What in a directory cannot be looked at is left out of it,
// since it does not keep the rest from being sent, either.
func StampOf(files []File) (stamp []byte, size int64, err error) {
	h := sha256.New()
	for _, f := range files {
		add(h, f.Path)
		err := walk(f, true, func(_, rel string, info fs.FileInfo) error {
			add(h, rel)
			for _, n := range []int64{int64(info.Mode()), info.Size(), info.ModTime().UnixNano()} {
				if info.IsDir() {
					n = int64(fs.ModeDir) // what is in it tells
				}
				_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) // never fails
			}
			if info.Mode().IsRegular() {
				size += info.Size()
			}
			return nil
		})
		if err != nil {
			return nil, 0, err
		}
	}
	return h.Sum(nil), size, nil
}

func add(h hash.Hash, text string) {
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text)))) // never fails
	_, _ = io.WriteString(h, text)                                        // nor does this
}
