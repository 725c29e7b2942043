package transfer

import (
	"context"
	"fmt"

	"jetsend/internal/fault"
)

// maxBatches bounds the remembered answers.
const maxBatches = 1000

// answer is what was said to several files: a yes to these many of this size from
// this device, each once, or a no to all that comes of them.
type answer struct {
	device uint32
	no     bool
	batch  Batch // as it was asked about
	left   int64 // bytes
	seen   map[int]bool
}

// covers takes one file off the answer, if it is one of those asked about.
func (a *answer) covers(device uint32, b *Batch, size int64) bool {
	if a == nil || a.device != device || a.batch.Count != b.Count || a.batch.Bytes != b.Bytes || a.seen[b.Index] || size > a.left {
		return false
	}
	a.seen[b.Index] = true
	a.left -= size
	return true
}

// refuses reports whether the answer was a no to that device.
func (a *answer) refuses(device uint32) bool { return a != nil && a.no && a.device == device }

// ask puts the question of an offer, once for all files of a batch and one at
// a time. Without put, only what was said yes to before is not declined.
func (r *receiver) ask(ctx context.Context, put func(context.Context, Question) (bool, error), q Question) error {
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	key := ""
	if q.Batch != nil {
		key = q.Peer.Bare().String() + " " + q.Batch.ID
		switch a := r.answers[key]; {
		case a.refuses(q.Device.ID):
			return fault.ErrDeclined
		case a.covers(q.Device.ID, q.Batch, q.Size):
			return nil
		}
	}
	if put == nil {
		return fault.ErrDeclined
	}
	yes, err := put(ctx, q)
	if err != nil {
		return fmt.Errorf("%w: %w", fault.ErrDeclined, err)
	}
	if q.Batch != nil && len(r.answers) < maxBatches {
		a := &answer{device: q.Device.ID, no: !yes, batch: *q.Batch, left: q.Batch.Bytes, seen: map[int]bool{}}
		if a.no || a.covers(q.Device.ID, q.Batch, q.Size) {
			r.answers[key] = a
		}
	}
	if !yes {
		return fault.ErrDeclined
	}
	return nil
}
