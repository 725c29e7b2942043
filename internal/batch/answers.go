package batch

import (
	"context"

	"jetsend/internal/jid"
)

// Question is about a file that a contact offers.
type Question struct {
	From   jid.JID
	Device uint32 // of OMEMO
	Size   int64
	// Batch, Count and Bytes are what the file comes with, and Index is its own number
	// there; "" and 0 for a file that comes alone, which is asked about for itself.
	Batch        string
	Index, Count int
	Bytes        int64
}

// Answers are what the user said, once for all files of a batch. One question is put at a
// time.
type Answers struct {
	asking chan struct{}   // holds a token while a question is put
	given  map[Key]*answer // under asking
}

// NewAnswers are none yet.
func NewAnswers() *Answers { return &Answers{make(chan struct{}, 1), map[Key]*answer{}} }

// answer is what was said to several files: a yes to these many of this size from
// this device, each once, or a no to all that comes of them.
type answer struct {
	device uint32
	no     bool
	count  int   // as it was asked about
	bytes  int64 // as it was asked about
	left   int64 // bytes
	seen   map[int]bool
}

// covers takes one file off the answer, if it is one of those asked about.
func (a *answer) covers(q Question) bool {
	if a == nil || a.device != q.Device || a.count != q.Count || a.bytes != q.Bytes || a.seen[q.Index] || q.Size > a.left {
		return false
	}
	a.seen[q.Index] = true
	a.left -= q.Size
	return true
}

// refuses reports whether the answer was a no to that device.
func (a *answer) refuses(q Question) bool { return a != nil && a.no && a.device == q.Device }

// Ask returns the answer to a question, which is put when no earlier answer holds for it.
// Without put, that is a no. The error is that of put, or the cause of the end of ctx
// while another question was put.
func (a *Answers) Ask(ctx context.Context, q Question, put func(context.Context) (bool, error)) (yes bool, err error) {
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	key := KeyOf(q.From, q.Batch, "")
	if q.Count > 0 {
		switch before := a.given[key]; {
		case before.refuses(q):
			return false, nil
		case before.covers(q):
			return true, nil
		}
	}
	if put == nil {
		return false, nil
	}
	if yes, err = put(ctx); err != nil {
		return false, err
	}
	if q.Count > 0 && len(a.given) < maxBatches {
		said := &answer{device: q.Device, no: !yes, count: q.Count, bytes: q.Bytes, left: q.Bytes, seen: map[int]bool{}}
		if said.no || said.covers(q) {
			a.given[key] = said
		}
	}
	return yes, nil
}
