package tree

import (
	"errors"

	"jetsend/internal/archive"
)

const (
	// workers bring files to the disk at the same time: the system brings what they wait
	// for there together.
	workers = 8
	// maxUnsynced bounds the files that are open because they were not brought to the disk.
	maxUnsynced = 128
)

// work brings files to the disk.
func (t *Target) work() {
	for it := range t.syncing {
		if t.failed() != nil {
			_ = it.close() // the session has ended with that error
			continue
		}
		err := it.bring()
		switch {
		case err == nil:
			t.ready(it)
		case trouble(err):
			t.fail(ours(err))
		default:
			t.lose(it, reason(err))
		}
	}
}

// bring gives a file its length, mode and time, and makes it durable.
func (it *item) bring() error {
	var err error
	if it.plan != planDate {
		if is, serr := factsOf(it.f); serr != nil || is.size != it.size { // it ends with a hole
			err = truncate(it.f, it.size)
		}
	}
	if err == nil {
		if err = it.f.Chmod(it.mode &^ it.arg.room.umask); lacking(err) {
			err = nil
		}
	}
	_ = archive.SetTime(it.f, it.mtime) // one that the file system cannot hold is no reason to throw data away
	if err == nil {
		err = syncFile(it)
	}
	if err == nil {
		it.is, err = factsOf(it.f)
	}
	return errors.Join(err, it.close())
}
