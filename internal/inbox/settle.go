package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Outcome is what became of a release that was cut.
type Outcome int

// The outcomes.
const (
	// NotReleased means that the partial file is there and all its bytes are
	// durable: go on with Reopen.
	NotReleased Outcome = iota + 1
	// Released means that the file is at its name, and that this is durable.
	Released
	// Lost means that neither is there: start over.
	Lost
)

// Settle tells what became of a release that was cut after placing was called
// with the path of name, and brings it to an end: a second name that a file
// kept, and an empty file with which a name was held, are removed. size is that
// of the whole file. The cases are those of package journal.
//
// Released means, when the partial file is gone, that name is a regular file of
// ours of that size. Nothing of ours was known under the name before, unless it was
// overwritten; a caller that has the hash of the file may want to compare it still.
func (d *Dir) Settle(id, name string, size int64) (Outcome, error) {
	outcome, err := d.settle(id, name, size)
	if err != nil {
		return 0, fmt.Errorf("settle release of %s: %w", name, err)
	}
	return outcome, nil
}

func (d *Dir) settle(id, name string, size int64) (Outcome, error) {
	partial, part, final, err := d.look(id, name)
	if err != nil {
		return 0, err
	}
	there := final != nil
	switch {
	case part == nil && there && final.Mode().IsRegular() && final.Size() == size && factsOf(final).owner == d.owner:
		return Released, d.names.Sync()
	case part == nil:
		return Lost, nil
	case there && os.SameFile(part, final):
		return Released, d.dropPart(partial)
	case there && d.held(part, final):
		return NotReleased, d.names.Remove(name)
	}
	return NotReleased, nil
}

// look finds what a release that was cut has left: the partial file's name and
// what stands under that and under the final one, nil for nothing.
func (d *Dir) look(id, name string) (partial string, part, final fs.FileInfo, err error) {
	if err = baseName(name); err != nil {
		return
	}
	if partial, err = partName(id); err != nil {
		return
	}
	if part, err = d.lstatPart(partial); err != nil {
		return
	}
	if final, err = d.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return partial, part, nil, nil
	}
	return
}

// dropPart removes the partial file of what is released. As in place, the one
// name is durable before the other goes.
func (d *Dir) dropPart(partial string) error {
	if err := d.names.Sync(); err != nil {
		return err
	}
	if err := d.names.Remove(partial); err != nil {
		return err
	}
	return d.names.Sync()
}
