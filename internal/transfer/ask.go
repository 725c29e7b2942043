package transfer

import (
	"context"
	"errors"
)

// maxBatches bounds the remembered answers.
const maxBatches = 1000

// answer is a yes to several files: to these many of this size from this
// device, each once.
type answer struct {
	device uint32
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

// ask puts the question of an offer, once for all files of a batch and one at
// a time.
func (r *receiver) ask(ctx context.Context, q Question) error {
	put := r.opt().Ask
	if put == nil {
		return errDeclined
	}
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	key := ""
	if q.Batch != nil {
		key = q.Peer.Bare().String() + " " + q.Batch.ID
		if r.answers[key].covers(q.Device.ID, q.Batch, q.Size) {
			return nil
		}
	}
	yes, err := put(ctx, q)
	if err != nil {
		return errors.Join(errDeclined, err)
	}
	if !yes {
		return errDeclined
	}
	if q.Batch != nil && len(r.answers) < maxBatches {
		a := &answer{device: q.Device.ID, batch: *q.Batch, left: q.Batch.Bytes, seen: map[int]bool{}}
		if a.covers(q.Device.ID, q.Batch, q.Size) {
			r.answers[key] = a
		}
	}
	return nil
}
