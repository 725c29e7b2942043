package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	// longShare is how much of the large file passes before it is interrupted, in
	// percent.
	longShare = 95
	// inFlight bounds what may be lost of what had passed the wire: the buffers of
	// the sockets and what the receiver had not written yet.
	inFlight = 32 << 20
	// spare is the room that is left on the disk beside the two files.
	spare = 1 << 30
	// markEvery is the distance of the marks in the large file.
	markEvery = 1 << 20
	// longTimeout bounds the transfer of a gibibyte.
	longTimeout = time.Minute
)

// errLong is returned when the rest was not what it should be.
var errLong = errors.New("resuming the large file")

// long interrupts a large transfer by cutting its path, resumes it, and counts
// what the rest takes on the wire.
func long(ctx context.Context, w io.Writer, world *world, o options) error {
	if err := checkSpace(o.dir, uint64(o.longSize)+spare); err != nil {
		return err
	}
	// The file has holes, which do not travel where it goes as a set.
	p := plan{seed: o.seed, route: direct, fresh: true, apart: true}
	r, err := newRound(ctx, world, p, o)
	if err != nil {
		return err
	}
	defer r.wires.close()
	defer r.endDaemons()
	r.plan.size = o.longSize // after newRound, which would fill the file
	if err := makeSparse(r.source, o.longSize); err != nil {
		return err
	}
	limit := longTimeout * time.Duration(2+o.longSize>>30)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	share := cmp.Or(o.longShare, longShare)
	_, _ = fmt.Fprintf(w, "%s, to be cut at %d %%\n", mib(o.longSize), share)
	at := o.longSize / 100 * int64(share)
	cut := fault{kind: cutPath, when: moment{share: float64(share) / 100}}
	err = r.attempt(ctx, attempt{way: bySend, faults: []fault{cut}})
	before := r.wires.passed()
	if err == nil {
		_, _ = fmt.Fprintf(w, "cut after %d bytes\n", before)
		err = r.attempt(ctx, attempt{way: bySender, named: true})
	}
	rest := r.wires.passed() - before
	r.endDaemons()
	if err == nil {
		err = r.judgeLong(at, rest)
	}
	if err == nil {
		err = sameFile(r.source, r.inbox)
	}
	if len(r.problems) > 0 {
		err = fmt.Errorf("%q (%w)", r.problems, errors.Join(err, errWrong))
	}
	if err != nil {
		for _, a := range r.all {
			r.story.add(a.name, "standard error:\n%s", a.Stderr())
		}
		_, _ = fmt.Fprintf(w, "\n%s", r.story)
		return fmt.Errorf("%w: %w", errLong, err)
	}
	_, _ = fmt.Fprintf(w, "resumed at %d, %d bytes (%.2f %%) were sent for the rest, and the file is the same; %.1f s\n",
		r.resumed, rest, 100*float64(rest)/float64(o.longSize), time.Since(r.story.begin).Seconds())
	return nil
}

// judgeLong looks at where the transfer went on and at what the rest took: not a
// byte more than the rest and its tag.
func (r *round) judgeLong(cut, rest int64) error {
	switch {
	case !r.done():
		return errors.New("it is not done")
	case r.sessions != 2:
		return fmt.Errorf("%d sessions instead of 2", r.sessions)
	case r.resumed < cut-inFlight:
		return fmt.Errorf("it was resumed at %d, long before %d", r.resumed, cut)
	case rest != r.plan.size-r.resumed+tagSize:
		return fmt.Errorf("%d bytes passed for the %d that were missing", rest, r.plan.size-r.resumed)
	}
	return nil
}

// checkSpace refuses where the disk has no room.
func checkSpace(dir string, need uint64) error {
	free, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	if free < need {
		return fmt.Errorf("%d bytes are free in %s, %d are needed: name another -dir or a smaller -long-size", free, dir, need)
	}
	return nil
}

// makeSparse makes a file that takes little room and in which no mebibyte could
// pass for another.
func makeSparse(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make source: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("make source: %w", err)
	}
	var mark [8]byte
	for at := int64(0); at+int64(len(mark)) <= size; at += markEvery {
		binary.BigEndian.PutUint64(mark[:], uint64(at)+1)
		if _, err := f.WriteAt(mark[:], at); err != nil {
			return fmt.Errorf("mark source: %w", err)
		}
	}
	return nil
}

// sameFile compares the source with the only file of a directory.
func sameFile(source, dir string) error {
	l, err := list(dir)
	if err != nil {
		return err
	}
	if len(l.visible) != 1 || len(l.hidden) != 0 {
		return fmt.Errorf("the download directory holds %q and %q", l.visible, l.hidden)
	}
	a, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("open source: %w", err)
	}
	defer func() { _ = a.Close() }() // only read
	b, err := os.Open(filepath.Join(dir, l.visible[0]))
	if err != nil {
		return fmt.Errorf("open the received file: %w", err)
	}
	defer func() { _ = b.Close() }() // only read
	return sameBytes(a, b)
}

// sameBytes compares what is left of two files.
func sameBytes(a, b io.Reader) error {
	one, two := make([]byte, markEvery), make([]byte, markEvery)
	for at := int64(0); ; {
		n, errA := io.ReadFull(a, one)
		m, errB := io.ReadFull(b, two)
		if n != m || !bytes.Equal(one[:n], two[:m]) {
			return fmt.Errorf("the received file differs in the mebibyte from %d on", at)
		}
		if errA != nil || errB != nil {
			if errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF) {
				return nil
			}
			return errors.Join(errA, errB)
		}
		at += int64(n)
	}
}
