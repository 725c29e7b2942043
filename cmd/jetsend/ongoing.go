package main

import (
	"fmt"
	"time"

	"jetsend/internal/event"
)

// ongoing is a transfer that has not come to its end.
type ongoing struct {
	standing
	number int       // of the transfers of this run, from 1
	moving bool      // its bytes are under way
	offset int64     // from where the session of the moment moves the file
	from   int64     // the least offset of this run
	began  time.Time // when the first path of this run stood; zero: none has

	set *gathering // where it is a set that goes in one session
}

// shown is how far it is, for the bar, and how many files it is.
func (t *ongoing) shown() (s standing, files int) {
	s = t.standing
	if t.set == nil || t.set.filesOf == 0 {
		return s, 1
	}
	s.count = fmt.Sprintf("%d/%d files", t.set.files, t.set.filesOf)
	if t.set.items > 1 {
		s.label, s.count = s.count, ""
	}
	return s, t.set.filesOf
}

// stands notes that there is a path for the bytes.
func (t *ongoing) stands(path string, now time.Time) {
	t.path = path
	if t.began.IsZero() {
		t.began, t.from = now, t.offset
	}
	t.from = min(t.from, t.offset) // it may have to go back
}

// speedFrom is the size from which on a rate says something about the path.
const speedFrom = 1e6

// speed tells what was moved in which time, from the first path on: neither what
// was there before nor a person's time to accept says how fast it went.
func (t *ongoing) speed(size int64, end time.Time) string {
	s, moved := bytesText(size), size-t.from
	if t.began.IsZero() {
		return s
	}
	if t.from > 0 {
		s += ", the last " + bytesText(moved)
	}
	seconds := end.Sub(t.began).Seconds()
	s += fmt.Sprintf(" in %.1f s", seconds)
	if seconds > 0 && moved >= speedFrom {
		s += fmt.Sprintf(" (%s/s)", bytesText(int64(float64(moved)/seconds)))
	}
	return s
}

// how tells how fast and on which way a file or a directory came to its end. Of a
// directory of which something was there already, a rate would say nothing.
func (t *ongoing) how(size int64, c event.Counts, end time.Time) string {
	if c.Equal > 0 && !t.began.IsZero() {
		return fmt.Sprintf("%s in %.1f s", bytesText(size), end.Sub(t.began).Seconds()) + travelled(t.standing)
	}
	return t.speed(size, end) + travelled(t.standing)
}

// travelled tells how a file came to its end: the last path, and how often it
// went on after an interruption.
func travelled(last standing) string {
	var s string
	if last.path != "" {
		s = ", " + last.path
	}
	switch last.resumes {
	case 0:
	case 1:
		s += ", resumed once"
	default:
		s += fmt.Sprintf(", resumed %d times", last.resumes)
	}
	return s
}
