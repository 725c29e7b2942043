package tree

import (
	"errors"

	"jetsend/internal/archive"
	"jetsend/internal/fsys"
)

const (
	// workers bring files to the disk at the same time, each a batch of them.
	workers = 4
	// maxBatch bounds the files that a worker brings to the disk as one.
	maxBatch = 16
	// maxUnsynced bounds the files that are open because they were not brought to the disk.
	maxUnsynced = 2 * workers * maxBatch
)

// work brings files to the disk. The system begins to write all of a batch before one is
// waited for: then what it has to write down about them comes to the disk with the first,
// and not anew with each.
func (t *Target) work() {
	for it := range t.syncing {
		batch := t.batch(it)
		failed := make([]error, len(batch))
		for i, it := range batch {
			if failed[i] = it.complete(); failed[i] == nil {
				flush(it.f)
			}
		}
		for i, it := range batch {
			t.bring(it, failed[i])
		}
	}
}

// batch is a file, and those that are there to be synced with it.
func (t *Target) batch(first *item) []*item {
	batch := []*item{first}
	for len(batch) < maxBatch {
		select {
		case it, more := <-t.syncing:
			if !more {
				return batch
			}
			batch = append(batch, it)
		default:
			return batch
		}
	}
	return batch
}

// complete gives a file its length, mode and time.
func (it *item) complete() error {
	if it.plan != planDate {
		if is, err := factsOf(it.f); err != nil || is.size != it.size { // it ends with a hole
			if err := errors.Join(err, truncate(it.f, it.size)); err != nil {
				return err
			}
		}
	}
	err := chmod(it.f, it.arg.room.mode(it.mode, false))
	_ = archive.SetTime(it.f, it.mtime) // one that the file system cannot hold is no reason to throw data away
	if fsys.Lacking(err) {
		return nil
	}
	return err
}

// bring makes a file durable.
func (t *Target) bring(it *item, err error) {
	if t.failed() != nil {
		_ = it.close() // the session has ended with that error
		return
	}
	if err == nil {
		err = syncFile(it)
	}
	if err == nil {
		it.is, err = factsOf(it.f)
	}
	err = errors.Join(err, it.close())
	switch {
	case err == nil:
		t.ready(it)
	case trouble(err):
		t.fail(ours(err))
	default:
		t.lose(it, reason(err))
	}
}
