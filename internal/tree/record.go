package tree

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/flock"
	"jetsend/internal/machine"
)

// recordHead begins a record, whatever its version.
const recordHead = "jetsend tree 1\n"

const (
	recordSuffix = ".rec"  // of a record
	freshSuffix  = ".new"  // of one that is written beside it, with the lines so far
	lateSuffix   = ".late" // of lines that were too late for their place in that
	wholeSuffix  = ".all"  // of one that both were put together into
)

// alike bounds how many lines of one path are looked at: those that a crash has left
// beside each other.
const alike = 4

// lines reads a record in its order. What is not there, or behind what was not written
// whole, is as if it had never been said.
type lines struct {
	f    *os.File
	r    *bufio.Reader
	next *line // nil at the end
}

// openLines opens the record at path.
func openLines(path string) (*lines, error) {
	f, err := openOwn(path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return &lines{}, nil
	}
	if err != nil {
		return nil, err
	}
	ls := &lines{f: f, r: bufio.NewReaderSize(f, 64<<10)}
	head := make([]byte, len(recordHead))
	if _, err := io.ReadFull(ls.r, head); err == nil && string(head) == recordHead {
		ls.advance()
	}
	return ls, nil
}

// bornAs is when the folder of a record was made, by that; zero: nobody knows.
func bornAs(base string) (time.Time, error) {
	ls, err := openLines(base + recordSuffix)
	if err != nil {
		return time.Time{}, err
	}
	var was time.Time
	if ls.next != nil && ls.next.key == "" {
		was = ls.next.changed
	}
	return was, ls.close()
}

// advance reads on. An order that is none is the end as well.
func (ls *lines) advance() {
	before := ls.next
	ls.next = nil
	l, err := readLine(ls.r, ls.r)
	if err == nil && (before == nil || l.key >= before.key) {
		ls.next = l
	}
}

// find returns the lines of a path, the latest first, and goes on behind them.
func (ls *lines) find(key string) (found []*line) {
	for ls.next != nil && ls.next.key < key {
		ls.advance()
	}
	for ls.next != nil && ls.next.key == key {
		found = append([]*line{ls.next}, found[:min(len(found), alike-1)]...)
		ls.advance()
	}
	return found
}

func (ls *lines) close() error {
	f := ls.f
	if ls.f = nil; f == nil {
		return nil
	}
	return f.Close()
}

// record is a record that is written anew, beside what it was.
type record struct {
	base  string // path without the suffix
	old   *lines
	f     *os.File
	w     *bufio.Writer
	buf   []byte
	fresh bool // lines that are not in the old one were written since the last sync
	late  []*line
	again bool // a session has not ended it: what it tells of may have names that are not synced
	held  int  // bytes of them
}

// errBusy says that another transfer is at the same folder.
var errBusy = errors.New("another transfer is writing into this folder")

// openRecord begins to write a record anew. A new one that a crash has left is brought to
// its end first. The caller alone writes it: a lock says so, also to other processes.
func openRecord(base string) (*record, error) {
	r, err := beginRecord(base)
	if err == nil && r.cut() {
		if err = r.end(); err == nil {
			r, err = beginRecord(base)
		}
		if err == nil {
			r.again = true
		}
	}
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		return nil, fmt.Errorf("record of the folder: %w", err)
	}
	return r, nil
}

// beginRecord opens and locks the new file, and opens the old one.
func beginRecord(base string) (*record, error) {
	f, err := lockFresh(base + freshSuffix)
	if err != nil {
		return nil, err
	}
	old, err := openLines(base + recordSuffix)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r := &record{base: base, old: old, f: f, w: bufio.NewWriterSize(f, 64<<10)}
	if err := r.readLate(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// lockFresh opens and locks a file. When another transfer has ended its own meanwhile, what
// was locked has another name, or none.
func lockFresh(path string) (*os.File, error) {
	for range 10 {
		f, err := openOwn(path, os.O_CREATE|os.O_RDWR)
		if err != nil {
			return nil, err
		}
		if err := flock.Exclusive(f); err != nil {
			if errors.Is(err, flock.ErrHeld) {
				err = errBusy
			}
			return nil, errors.Join(err, f.Close())
		}
		is, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if named, err := os.Lstat(path); err == nil && os.SameFile(is, named) {
			return f, nil
		}
		_ = f.Close() // nothing was done with it
	}
	return nil, errBusy
}

// begin writes the head.
func (r *record) begin() error {
	if err := r.f.Truncate(0); err != nil {
		return err
	}
	_, err := r.w.WriteString(recordHead)
	return err
}

// cut reports whether there are lines of a session that has not ended the record, and goes
// behind the last one of the new file that is whole.
func (r *record) cut() bool {
	at, last := int64(len(recordHead)), ""
	if ls, err := openLines(r.base + freshSuffix); err == nil {
		for ; ls.next != nil; ls.advance() {
			last = ls.next.key
			at += int64(len(ls.next.append(nil)))
		}
		_ = ls.close() // it was read
	}
	whole := at > int64(len(recordHead))
	if !whole && len(r.late) == 0 {
		return false
	}
	if !whole {
		return r.begin() == nil
	}
	if r.f.Truncate(at) != nil {
		return false
	}
	if _, err := r.f.Seek(at, io.SeekStart); err != nil {
		return false
	}
	r.old.find(last) // which the new file tells of
	return true
}

// upTo takes over the lines before a path, as they are.
func (r *record) upTo(key string) error {
	for r.old.next != nil && r.old.next.key < key {
		if err := r.write(r.old.next); err != nil {
			return err
		}
		r.old.advance()
	}
	return nil
}

// take goes to a path, and returns its lines, the latest first. They are not taken over.
func (r *record) take(key string) ([]*line, error) {
	if err := r.upTo(key); err != nil {
		return nil, err
	}
	return r.old.find(key), nil
}

// keep takes over what is said of a path, as it is.
func (r *record) keep(key string) error {
	found, err := r.take(key)
	for i := len(found) - 1; err == nil && i >= 0; i-- {
		err = r.write(found[i])
	}
	return err
}

// put writes a line that is new.
func (r *record) put(l *line) error {
	r.fresh = true
	return r.write(l)
}

func (r *record) write(l *line) error {
	r.buf = l.append(r.buf[:0])
	_, err := r.w.Write(r.buf)
	return err
}

// sync makes the lines that are new durable.
func (r *record) sync() error {
	if !r.fresh {
		return nil
	}
	r.fresh = false
	return r.flush()
}

func (r *record) flush() error {
	if err := machine.Before(machine.Sync, filepath.Dir(r.f.Name()), filepath.Base(r.f.Name()), 0); err != nil {
		return err
	}
	return errors.Join(r.w.Flush(), r.f.Sync())
}

// maxLate bounds the bytes of the lines that are held until the end.
const maxLate = 8 << 20

// amend writes a line whose place is behind it, durably.
func (r *record) amend(l *line) error {
	b := l.append(nil)
	if r.held+len(b) > maxLate {
		return nil // the disk has to say it
	}
	f, err := os.OpenFile(r.base+lateSuffix, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	r.late, r.held = append(r.late, l), r.held+len(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// readLate reads the lines that were too late, before a crash.
func (r *record) readLate() error {
	f, err := openOwn(r.base+lateSuffix, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := bufio.NewReader(f)
	for r.held < maxLate {
		l, err := readLine(b, b)
		if err != nil {
			break // the end, or what was not written whole
		}
		r.late, r.held = append(r.late, l), r.held+len(l.append(nil))
	}
	return f.Close()
}

// end takes over the lines that are left, and puts the new record in the place of the old
// one.
func (r *record) end() error {
	var err error
	for err == nil && r.old.next != nil {
		err = r.write(r.old.next)
		r.old.advance()
	}
	if err == nil {
		err = r.flush()
	}
	err = errors.Join(err, r.old.close()) // Windows replaces no file that is open
	if err == nil && len(r.late) > 0 {
		err = r.gather()
	} else if err == nil {
		err = supersede(r.base+freshSuffix, r.base+recordSuffix)
	}
	return errors.Join(err, r.close())
}

// gather puts the lines that were too late into their places. Until all of it is done, a
// crash finds what it needs to do it again.
func (r *record) gather() error {
	slices.SortStableFunc(r.late, func(a, b *line) int { return strings.Compare(a.key, b.key) })
	ls, err := openLines(r.base + freshSuffix)
	if err != nil {
		return err
	}
	all := record{base: r.base, old: ls}
	if all.f, err = openOwn(r.base+wholeSuffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR); err != nil {
		return errors.Join(err, ls.close())
	}
	all.w = bufio.NewWriter(all.f)
	if err = all.begin(); err == nil {
		err = all.insert(r.late)
	}
	if err == nil {
		err = all.flush()
	}
	if err = errors.Join(err, all.close()); err == nil {
		err = supersede(r.base+wholeSuffix, r.base+recordSuffix)
	}
	if err != nil {
		return err
	}
	return errors.Join(gone(os.Remove(r.base+freshSuffix)), gone(os.Remove(r.base+lateSuffix)))
}

// insert takes over all lines, and puts others between them: each behind what was said of
// its path before.
func (r *record) insert(others []*line) error {
	for _, l := range others {
		if err := r.keep(l.key); err != nil {
			return err
		}
		if err := r.write(l); err != nil {
			return err
		}
	}
	for r.old.next != nil {
		if err := r.write(r.old.next); err != nil {
			return err
		}
		r.old.advance()
	}
	return nil
}

// removeRecord removes a record, and what belongs to it.
func removeRecord(base string) error {
	var err error
	for _, suffix := range []string{freshSuffix, lateSuffix, wholeSuffix, recordSuffix} {
		err = errors.Join(err, gone(os.Remove(base+suffix)))
	}
	return err
}

// close leaves the record as a crash would.
func (r *record) close() error { return errors.Join(r.f.Close(), r.old.close()) }

// supersede gives a file the name of another one, durably.
func supersede(path, to string) error {
	if err := machine.BeforeNaming(machine.Replace, filepath.Dir(path), filepath.Base(path), filepath.Base(to)); err != nil {
		return err
	}
	if err := os.Rename(path, to); err != nil {
		return err
	}
	return syncPath(filepath.Dir(to))
}

// syncPath makes the names in a directory durable.
func syncPath(path string) error {
	d, err := openPath(path)
	if err != nil {
		return err
	}
	return errors.Join(d.sync(), d.close())
}
