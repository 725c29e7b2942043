package charge

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"jetsend/internal/jid"
	"jetsend/internal/percontact"
	"jetsend/internal/stream"
)

// What a contact has us read: what the receiver of a file has already is hashed before
// the rest is sent, at both ends, as often as somebody asks. It is charged to whoever
// has asked.
const (
	// ReadRate is how slowly, in bytes per second, either end may read what the
	// receiver of a file has already: the other end is patient for that long.
	ReadRate = 20 << 20
	// FilesPerChunk is how many files of a directory are looked at for the price of a
	// [stream.Chunk].
	FilesPerChunk = 10

	// readAgain is how many chunks are read for a contact in a second, once readAtOnce
	// came at once: at the pace that the other end is patient for, after 64 GiB.
	readAgain  = rate.Limit(ReadRate / stream.Chunk)
	readAtOnce = 64 << 30 / stream.Chunk
	// maxReadings bounds the contacts whose reading is remembered, and maxMarks the
	// files. Contacts beyond it share one account.
	maxReadings = 1000
	maxMarks    = 1000
)

// Readings keeps an account of what is read for each contact, one of whose sessions at
// a time has its turn. The zero value is ready.
type Readings struct {
	of    percontact.Table[reading]
	mu    sync.Mutex
	marks map[string]stream.Digest // how far which transfer's source has been read; under mu
}

// reading is the account of a contact.
type reading struct {
	busy   chan struct{} // holds a token during a turn
	budget *rate.Limiter // in chunks
}

// account returns that of a contact.
func (s *Readings) account(of jid.JID) *reading {
	return s.of.Account(of, maxReadings, func() *reading { return &reading{make(chan struct{}, 1), rate.NewLimiter(readAgain, readAtOnce)} },
		func(r *reading) bool { return len(r.busy) == 0 && r.budget.Tokens() >= readAtOnce })
}

// Turn runs f when it is the turn of a session of the contact. Before each chunk that f
// reads it calls pay. An error that is not that of f is the cause of the end of ctx.
func (s *Readings) Turn(ctx context.Context, of jid.JID, f func(pay Payment) error) error {
	r := s.account(of)
	select {
	case r.busy <- struct{}{}:
		defer func() { <-r.busy }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return f(r.pay)
}

// Payment waits until so many chunks more may be read, or for the end of ctx.
type Payment func(ctx context.Context, chunks int) error

func (r *reading) pay(ctx context.Context, chunks int) error {
	return paid(ctx, r.budget.WaitN(ctx, min(chunks, readAtOnce)))
}

// Resume returns the digest of a transfer's source as far as it has been read, if that
// is no further than to: a contact who asks for the same again has nothing read.
func (s *Readings) Resume(transfer string, to int64) stream.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.marks[transfer]; ok && m.Len() <= to {
		return m.Clone()
	}
	return stream.Digest{}
}

// Mark remembers how far a transfer's source has been read.
func (s *Readings) Mark(transfer string, d *stream.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.marks[transfer]; d.Len() == 0 || before.Len() >= d.Len() {
		return
	}
	if s.marks == nil {
		s.marks = map[string]stream.Digest{}
	}
	for id := range s.marks { // any will do
		if len(s.marks) < maxMarks {
			break
		}
		delete(s.marks, id)
	}
	s.marks[transfer] = d.Clone()
}
