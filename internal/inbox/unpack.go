package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"

	"jetsend/internal/archive"
)

// Unpack is Release for a partial file that is the archive of a directory: the
// tree gets the name, and the partial file goes. name must come from package
// filename. Nothing is ever replaced: Overwrite is for files, and means Skip
// here. When it returns nil, tree and name have been synced, and what is not as it
// was sent is told.
//
// placing, unless nil, is called with the absolute path before each name that is
// tried, when the whole tree is durable. After any error the partial file is
// there with all its bytes, and Keep or Discard says what becomes of it; an error
// may come after the tree got its name, which SettleTree tells. An
// [archive.RefusedError] says that the archive is at fault.
func (p *Partial) Unpack(ctx context.Context, name string, how Conflict, placing func(path string) error) (string, archive.Tree, error) {
	tree, err := p.unpack(ctx, name, how, placing)
	if err != nil {
		return "", archive.Tree{}, err
	}
	return p.dir.Path(tree.Name), tree, nil
}

func (p *Partial) unpack(ctx context.Context, name string, how Conflict, placing func(path string) error) (archive.Tree, error) {
	if at := p.Written(); at != p.size {
		return archive.Tree{}, fmt.Errorf("unpack %s: %d of %d bytes", name, at, p.size)
	}
	if err := baseName(name); err != nil {
		return archive.Tree{}, fmt.Errorf("unpack: %w", err)
	}
	if err := p.Sync(); err != nil {
		return archive.Tree{}, fmt.Errorf("unpack: %w", err)
	}
	place := func(final string) error {
		if !how.Counts() && final != name {
			return fmt.Errorf("release %s: %w", name, ErrExists)
		}
		// The hidden directory stands for a tree that was not released: it must
		// be durable before the path is recorded.
		if err := p.dir.names.Sync(); err != nil || placing == nil {
			return err
		}
		return placing(p.dir.Path(final))
	}
	tree, err := archive.Extract(ctx, io.NewSectionReader(p.f, 0, p.size), p.dir.root,
		archive.Target{ID: p.id, Name: name, Place: place, Exposed: p.dir.exposed != ""}, archive.Limits{Bytes: p.size})
	if errors.Is(err, archive.ErrNoSpace) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	if err != nil {
		return archive.Tree{}, err
	}
	if err := errors.Join(p.Discard(), p.dir.names.Sync()); err != nil {
		return archive.Tree{}, fmt.Errorf("unpack %s: %w", tree.Name, err)
	}
	return tree, nil
}

// SettleTree is Settle for an Unpack that was cut after placing was called with
// the path of name. The hidden directory tells: while it is there the tree was
// not released, see [archive.TempName].
func (d *Dir) SettleTree(id, name string) (Outcome, error) {
	outcome, err := d.settleTree(id, name)
	if err != nil {
		return 0, fmt.Errorf("settle release of %s: %w", name, err)
	}
	return outcome, nil
}

func (d *Dir) settleTree(id, name string) (Outcome, error) {
	partial, part, final, err := d.look(id, name)
	if err != nil {
		return 0, err
	}
	released := final != nil && final.IsDir() && factsOf(final).owner == d.owner && !d.Exists(archive.TempName(id))
	switch {
	case part == nil && released:
		return Released, d.names.Sync()
	case part == nil:
		return Lost, archive.Discard(d.root, id)
	case !released:
		return NotReleased, nil
	}
	return Released, d.dropPart(partial)
}
