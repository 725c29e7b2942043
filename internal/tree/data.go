package tree

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"jetsend/internal/clean"
	"jetsend/internal/machine"
	"jetsend/internal/set"
)

const (
	// noted is how many bytes of a file make it worth being resumed after a crash.
	noted = 1 << 20
	// looks is after how many bytes the free space is looked at anew.
	looks = 8 << 20
	// block is what a file, a directory or a link takes at least.
	block = 4096
	// minLine is what a line of a record takes beside its names.
	minLine = 100
	// unlooked is how much is written down before the first look: a folder in which nothing
	// has changed needs no room to speak of.
	unlooked = 1 << 20
	// minArgument is what an argument takes in a journal beside its name.
	minArgument = 400
	// spare stays free where records are: keys and the journal are there too.
	spare = 16 << 20
)

// head is the file whose data comes. Of one that has failed here, nil.
func (t *Target) head(number uint64) (*item, error) {
	if err := t.failed(); err != nil {
		return nil, err
	}
	if t.dropped != nil && *t.dropped == number {
		return nil, nil
	}
	if len(t.await) == 0 || t.await[0].number != number {
		return nil, set.Refuse("data of entry %d, which does not come next", number)
	}
	return t.await[0], nil
}

// Write implements [set.Target].
func (t *Target) Write(number uint64, offset int64, b []byte) error {
	it, err := t.head(number)
	if it == nil || err != nil {
		return err
	}
	if it.have > 0 && !it.begun && offset == it.extents[0].Offset && !it.next(offset, 1) {
		if err := it.discard(); err != nil { // the sender has another file than there was
			return err
		}
	}
	if !it.next(offset, len(b)) {
		return set.Refuse("%d bytes at %d of entry %d", len(b), offset, number)
	}
	err = t.begin(it, int64(len(b)))
	if err == nil {
		err = t.write(it, offset, b)
	}
	if err == nil && !it.noted && offset >= noted {
		it.noted = true
		err = t.remember(it)
	}
	if err != nil {
		return t.drop(it, err)
	}
	return nil
}

// next reports whether so many bytes at an offset are what comes next.
func (it *item) next(offset int64, n int) bool {
	return n > 0 && len(it.left) > 0 && offset == it.left[0].Offset+it.at && int64(n) <= it.left[0].Length-it.at
}

// begin sees to it that there is a file, and room.
func (t *Target) begin(it *item, n int64) error {
	if it.f == nil {
		it.temp = it.arg.room.temp()
		f, err := it.arg.room.hide.create(it.temp)
		if err != nil {
			it.temp = ""
			return fmt.Errorf("%w: %w", errHidden, err)
		}
		it.f = f
		n += block
		if it.digest != nil { // what comes is held against it, too
			it.sum = set.NewSum(it.sparse)
		}
	}
	if t.unchecked < n && it.begun { // the disk need not wait for the end of it
		flush(it.f)
	}
	return t.spend(it.arg.room, n)
}

// spend sees, from time to time, that there is room for what is written.
func (t *Target) spend(r *room, n int64) error {
	if t.unchecked -= n; t.unchecked >= 0 {
		return nil
	}
	t.unchecked = looks
	return fits(r.hide, t.cfg.MinFree)
}

// errHidden: what goes wrong in the hidden directory goes wrong for all.
var errHidden = errors.New("hidden directory")

// gathered is how many bytes are written at once, in bytes: a write costs the system more
// than what one record brings.
const gathered = 256 << 10

// write takes data that comes next. A crash loses what is held of it.
func (t *Target) write(it *item, offset int64, b []byte) error {
	if len(it.held) > 0 && (offset != it.heldAt+int64(len(it.held)) || len(it.held)+len(b) > gathered) {
		if err := it.pour(); err != nil {
			return err
		}
	}
	if len(it.held) == 0 {
		if t.gather == nil {
			t.gather = make([]byte, 0, gathered)
		}
		it.held, it.heldAt = t.gather[:0], offset
	}
	it.held = append(it.held, b...)
	if it.sum != nil {
		if it.at == 0 {
			it.sum.Extent(it.left[0])
		}
		_, _ = it.sum.Write(b) // never fails
	}
	it.begun = true
	if it.at += int64(len(b)); it.at == it.left[0].Length {
		it.left, it.at = it.left[1:], 0
	}
	if len(it.held) >= gathered {
		return it.pour()
	}
	return nil
}

// pour writes what is held of the data that came.
func (it *item) pour() error {
	b := it.held
	it.held = nil
	if len(b) == 0 {
		return nil
	}
	if err := machine.Before(machine.Write, filepath.Dir(it.f.Name()), it.temp, int64(len(b))); err != nil {
		return err
	}
	_, err := it.f.WriteAt(b, it.heldAt)
	return err
}

// drop fails the file whose data comes, or the session.
func (t *Target) drop(it *item, err error) error {
	if errors.Is(err, errHidden) || trouble(err) {
		return ours(err)
	}
	return t.abandon(it, reason(err))
}

// abandon fails the file whose data comes, and throws that away.
func (t *Target) abandon(it *item, why string) error {
	number := it.number
	t.await, t.dropped = t.await[1:], &number
	if err := it.discard(); err != nil {
		return ours(err)
	}
	t.lose(it, why)
	return nil
}

// End implements [set.Target].
func (t *Target) End(number uint64, sum []byte) error {
	it, err := t.head(number)
	if it == nil || err != nil {
		return err
	}
	if len(it.left) > 0 {
		return set.Refuse("entry %d ends before its %d bytes", number, it.size)
	}
	if it.have > 0 && !bytes.Equal(sum, it.sum.Hash.Sum(nil)) {
		return t.abandon(it, "what was put together is another file")
	}
	err = t.begin(it, 0)
	if err == nil {
		err = it.pour()
	}
	if err != nil {
		return t.drop(it, err)
	}
	if it.digest != nil && !bytes.Equal(it.digest, it.sum.Hash.Sum(nil)) {
		return t.abandon(it, "its SHA-256 is another one than was listed")
	}
	t.await = t.await[1:]
	it.ended = true
	t.syncing <- it
	return nil
}

// Fail implements [set.Target].
func (t *Target) Fail(number uint64, why string) {
	for i, it := range t.await {
		if it.number != number {
			continue
		}
		t.await = append(t.await[:i:i], t.await[i+1:]...)
		if err := it.discard(); err != nil {
			t.fail(ours(err))
			return
		}
		t.lose(it, clean.Text(why))
		return
	}
}

// cut keeps the file whose data was coming, and lets go of those that have none.
func (t *Target) cut() error {
	var err error
	for i, it := range t.await {
		if i == 0 && it.f != nil && t.failed() == nil {
			err = t.suspend(it)
		} else {
			err = errors.Join(err, it.close())
		}
	}
	for i := len(t.stack) - 1; i > 0; i-- {
		t.push(&step{leaveDirectory, t.stack[i].item})
	}
	if t.arg != nil && t.arg.root != nil {
		t.push(&step{leaveArgument, t.arg.root})
	}
	t.unfinish()
	return err
}

// unfinish lets go of what data was to come for, and so of what was to end with it.
func (t *Target) unfinish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, it := range t.await {
		it.state, it.arg.cut = unfinished, true
	}
	for _, s := range t.queue {
		switch {
		case !s.it.arg.cut:
		case s.what == endDirectory:
			s.what = leaveDirectory
		case s.what == endArgument:
			s.what = leaveArgument
		}
	}
	t.wake.Broadcast()
}

// suspend makes a file that was cut durable.
func (t *Target) suspend(it *item) error {
	err := t.remember(it)
	if err == nil {
		err = it.pour()
	}
	if err == nil {
		err = syncFile(it)
	}
	if err == nil {
		err = it.arg.room.hide.sync()
	}
	return errors.Join(err, it.close())
}

func syncFile(it *item) error {
	if err := machine.Before(machine.Sync, filepath.Dir(it.f.Name()), filepath.Base(it.f.Name()), 0); err != nil {
		return err
	}
	return syncOpen(it.f)
}
