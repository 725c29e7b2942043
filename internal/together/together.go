// Package together has files read once that several transfers of one run send at the same
// time: what the first of them reads is kept for the others, in a window of bounded size. Who
// is so far behind that the window would leave it is waited for, but all in all no longer than
// [Patience]; after that it reads by itself what it has missed.
package together

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// ChunkSize is how many bytes are read at a time.
	ChunkSize = 256 << 10
	// Chunks is how many of them the window holds.
	Chunks = 128
	// Patience is how long, over a whole run, the others wait for one reader. It is short: what each
	// contact's disk takes its time for would add up, and who has missed something reads it from the
	// system's memory most of the time.
	Patience = 200 * time.Millisecond
)

// Window is what was read last.
type Window struct {
	now func() time.Time

	mu      sync.Mutex
	known   map[place]*chunk
	order   []*chunk // the oldest first
	free    [][]byte // of chunks that nobody has any more
	readers map[*Reader]struct{}
	moved   chan struct{} // closed, and another one, when somebody has read a chunk, or left
}

// place is where a chunk is: the how manyth of what.
type place struct {
	name  string
	index int64
}

// chunk is a part of a file. b and err are there when ready is closed.
type chunk struct {
	place
	ready chan struct{}
	b     []byte
	err   error
	seen  map[*Reader]struct{} // who has read it to its end
	users int                  // who has it in hands
	gone  bool                 // out of the window
}

// New returns an empty window.
func New() *Window {
	return &Window{now: time.Now, known: map[place]*chunk{}, readers: map[*Reader]struct{}{}, moved: make(chan struct{})}
}

// Reader is one of those who read.
type Reader struct {
	ctx   context.Context //nolint:containedctx // io.ReaderAt takes none
	w     *Window
	begun bool          // it has read
	owed  time.Duration // how long the others have waited for it
}

// Join has another one read. It waits for nobody when ctx has ended, and has to Leave.
func (w *Window) Join(ctx context.Context) *Reader {
	r := &Reader{ctx: ctx, w: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readers[r] = struct{}{}
	return r
}

// Leave ends it: nobody waits for it any more.
func (r *Reader) Leave() {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	delete(r.w.readers, r)
	r.w.tell()
}

// tell wakes who waits. The caller holds the lock.
func (w *Window) tell() {
	close(w.moved)
	w.moved = make(chan struct{})
}

// Share returns data as they are read together with all that have the same name. A name
// stands for the bytes, not only for the file. Of a nil reader it returns the data.
func (r *Reader) Share(name string, data io.ReaderAt) io.ReaderAt {
	if r == nil {
		return data
	}
	return &shared{r, name, data}
}

type shared struct {
	r    *Reader
	name string
	data io.ReaderAt
}

// ReadAt implements [io.ReaderAt].
func (s *shared) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return s.data.ReadAt(p, off)
	}
	for n < len(p) {
		index := off / ChunkSize
		c := s.r.take(place{s.name, index}, s.data)
		if c == nil {
			m, err := s.data.ReadAt(p[n:], off)
			return n + m, err
		}
		from := min(int(off-index*ChunkSize), len(c.b))
		m := copy(p[n:], c.b[from:])
		n, off = n+m, off+int64(m)
		end := c.err
		s.r.read(c, from+m == len(c.b))
		if n < len(p) && end != nil {
			return n, end
		}
	}
	return n, nil
}

// take returns the chunk at a place, which it reads when nobody has; read gives it back. It is
// nil when the reader is to read by itself: it is alone, or the chunk could not be had.
func (r *Reader) take(at place, data io.ReaderAt) *chunk {
	w := r.w
	w.mu.Lock()
	r.begun = true
	c := w.known[at]
	if c == nil && len(w.readers) < 2 {
		w.mu.Unlock()
		return nil
	}
	if c == nil {
		r.makeRoom()
		c = w.known[at] // somebody may have read it meanwhile
	}
	if c != nil {
		c.users++
		w.mu.Unlock()
		<-c.ready
		if c.b == nil {
			return nil
		}
		return c
	}
	c = &chunk{place: at, ready: make(chan struct{}), seen: map[*Reader]struct{}{}, users: 1}
	w.known[at] = c
	w.order = append(w.order, c)
	var b []byte
	if n := len(w.free); n > 0 {
		b, w.free = w.free[n-1], w.free[:n-1]
	}
	w.mu.Unlock()
	if b == nil {
		b = make([]byte, ChunkSize)
	}
	c.fill(data, b)
	if c.b == nil {
		w.forget(c)
		return nil
	}
	return c
}

// fill reads the chunk into b. Without its own b it failed; an err beside that is the end of
// the file.
func (c *chunk) fill(data io.ReaderAt, b []byte) {
	defer close(c.ready)
	n, err := data.ReadAt(b, c.index*ChunkSize)
	if n == len(b) {
		err = nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		c.b, c.err = b[:n], err
	}
}

// forget takes a chunk out of the window: who wants it reads it for itself.
func (w *Window) forget(c *chunk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, other := range w.order {
		if other == c {
			w.order = append(w.order[:i], w.order[i+1:]...)
			delete(w.known, c.place)
			return
		}
	}
}

// read gives a chunk back, of which the reader may have come to the end.
func (r *Reader) read(c *chunk, end bool) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	c.users--
	r.w.reclaim(c)
	if _, ok := c.seen[r]; !ok && end {
		c.seen[r] = struct{}{}
		r.w.tell()
	}
}

// reclaim takes back the memory of a chunk that nobody can come by any more. The caller
// holds the lock.
func (w *Window) reclaim(c *chunk) {
	if c.gone && c.users == 0 && len(w.free) < Chunks {
		w.free = append(w.free, c.b[:ChunkSize])
		c.b = nil
	}
}

// makeRoom takes the oldest chunks out of a window that is full, after waiting for those
// who have not read them, if they still may be waited for. The caller holds the lock, which is
// let go of while it waits.
func (r *Reader) makeRoom() {
	w := r.w
	for len(w.order) >= Chunks {
		oldest := w.order[0]
		if wait := r.behind(oldest); wait > 0 {
			r.wait(oldest, wait)
			continue
		}
		w.order = w.order[1:]
		delete(w.known, oldest.place)
		oldest.gone = true
		w.reclaim(oldest)
	}
}

// behind is how long the reader may wait for those who have not read a chunk.
func (r *Reader) behind(c *chunk) (most time.Duration) {
	if r.ctx.Err() != nil {
		return 0
	}
	for other := range r.w.readers {
		if r.waitsFor(other, c) {
			most = max(most, Patience-other.owed)
		}
	}
	return most
}

// waitsFor reports whether another reader has yet to read a chunk, and may be waited for.
func (r *Reader) waitsFor(other *Reader, c *chunk) bool {
	_, seen := c.seen[other]
	return other != r && other.begun && !seen && other.owed < Patience
}

// wait waits until somebody moves, at most so long, and charges it to those who are behind.
func (r *Reader) wait(c *chunk, atMost time.Duration) {
	w := r.w
	var behind []*Reader
	for other := range w.readers {
		if r.waitsFor(other, c) {
			behind = append(behind, other)
		}
	}
	moved, begun := w.moved, w.now()
	w.mu.Unlock()
	timer := time.NewTimer(atMost)
	select {
	case <-moved:
	case <-timer.C:
	case <-r.ctx.Done():
	}
	timer.Stop()
	w.mu.Lock()
	for _, other := range behind {
		other.owed += w.now().Sub(begun)
	}
}
