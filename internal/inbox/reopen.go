package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"jetsend/internal/machine"
)

// partMode is that of a partial file: unverified bytes are nobody else's.
const partMode fs.FileMode = 0o600

// othersWrite are the permissions that let others change a file.
const othersWrite fs.FileMode = 0o022

// Create makes the partial file of a transfer and reserves size bytes for it.
// minFree bytes stay free besides; ErrNoSpace when that cannot be. A transfer
// that has a partial file gets an error that is fs.ErrExist. The file's entry
// in the directory is durable with the first Sync.
func (d *Dir) Create(id string, size, minFree int64) (*Partial, error) {
	name, err := partName(id)
	if err != nil {
		return nil, err
	}
	if err := d.Fits(size, minFree); err != nil {
		return nil, err
	}
	if err := machine.Before(machine.Create, d.path, name, 0); err != nil {
		return nil, fmt.Errorf("create partial file: %w", noSpace(err))
	}
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, partMode)
	if err != nil {
		return nil, fmt.Errorf("create partial file: %w", noSpace(err))
	}
	p := &Partial{dir: d, f: f, id: id, name: name, size: size}
	if err := p.reserve(0); err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

// Reopen opens the partial file of a transfer to go on after at bytes, of size.
// The bytes behind them are cut off, and the space for the rest is reserved
// like with Create. The permissions are made the owner's alone again: a Release
// that was cut may have widened them.
//
// ErrGone means that there is no such file, ErrForeign that it is not to be
// trusted, a *ShortError that it has less than at bytes. Nothing is changed
// then, nor when ErrNoSpace shows at once; when it shows later the file is kept
// with at bytes.
func (d *Dir) Reopen(id string, size, at, minFree int64) (*Partial, error) {
	name, err := partName(id)
	if err != nil {
		return nil, err
	}
	if at < 0 || at > size {
		return nil, fmt.Errorf("reopen partial file: %d of %d bytes", at, size)
	}
	f, info, err := d.openPart(name)
	if err != nil {
		return nil, err
	}
	p := &Partial{dir: d, f: f, id: id, name: name, size: size}
	p.written.Store(at)
	if err := p.resume(info, minFree); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// openPart opens a partial file for reading and writing, if it is one.
func (d *Dir) openPart(name string) (*os.File, fs.FileInfo, error) {
	seen, err := d.lstatPart(name)
	if err != nil {
		return nil, nil, err
	}
	if seen == nil {
		return nil, nil, ErrGone
	}
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open partial file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(seen, info) { // a link was put in its place since
		err = ErrForeign
	}
	if err == nil {
		err = d.trust(info)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// trust refuses a file that others may have written, or that is another file
// as well, which cutting would harm: a backup that links what did not change,
// for one.
func (d *Dir) trust(info fs.FileInfo) error {
	perm, known := info.Mode().Perm(), factsOf(info)
	switch {
	case known.owner != d.owner:
		return fmt.Errorf("%w: it belongs to another user", ErrForeign)
	case known.links > 1:
		return fmt.Errorf("%w: it has another name too", ErrForeign)
	case perm&othersWrite&^d.mode != 0: // more than a Release that was cut would allow
		return fmt.Errorf("%w: others may write it", ErrForeign)
	}
	return nil
}

// resume makes the file what Written and size say.
func (p *Partial) resume(info fs.FileInfo, minFree int64) error {
	at := p.written.Load()
	if info.Size() < at {
		return &ShortError{Have: info.Size()}
	}
	// Space that a crash has left reserved is not free, but the file's own.
	if need := p.size - max(at, factsOf(info).allocated); need > 0 {
		if err := p.dir.Fits(need, minFree); err != nil {
			return err
		}
	}
	if info.Mode().Perm() != partMode {
		_ = p.f.Chmod(partMode) // where permissions are the mount's, Create could not do it either
	}
	if info.Size() > at {
		if err := p.truncate(at); err != nil {
			return fmt.Errorf("cut partial file: %w", err)
		}
	}
	return p.reserve(at)
}

// Remains reports whether a transfer has a partial file, and its length, of which
// not all need be durable. ErrForeign when something else has its name.
func (d *Dir) Remains(id string) (length int64, ok bool, err error) {
	name, err := partName(id)
	if err != nil {
		return 0, false, err
	}
	info, err := d.lstatPart(name)
	if info == nil {
		return 0, false, err
	}
	return info.Size(), true, nil
}

// lstatPart looks at a partial file. It returns nil when there is none.
func (d *Dir) lstatPart(name string) (fs.FileInfo, error) { return lstatPart(d.root, name) }

func lstatPart(root *os.Root, name string) (fs.FileInfo, error) {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("partial file: %w", err)
	case !info.Mode().IsRegular():
		return nil, ErrForeign
	}
	return info, nil
}

// reserve sets blocks aside for what is between from and the size, so that a full
// disk shows before an offer is accepted and not in the middle of it. The
// length of the file, from, stays.
func (p *Partial) reserve(from int64) error {
	if from == p.size {
		return nil
	}
	err := p.before(machine.Reserve, p.size-from)
	if err == nil {
		err = preallocate(p.f, from, p.size-from)
	}
	if err != nil {
		_ = p.truncate(from) // gives back what there was of it
		return fmt.Errorf("reserve space: %w", noSpace(err))
	}
	return nil
}
