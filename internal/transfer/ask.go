package transfer

import (
	"context"
	"errors"
	"fmt"

	"jetsend/internal/batch"
	"jetsend/internal/clean"
	"jetsend/internal/conversation"
	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
)

// errTaken: the run has taken what --once lets it take.
var errTaken = fmt.Errorf("%w: this run takes one batch", fault.ErrDeclined)

// errOneFile: a batch was offered where one file can be taken.
var errOneFile = fmt.Errorf("%w: one file goes to standard output, and no batch", fault.ErrDeclined)

// ask asks the user, unless our rules refuse the file anyway. Whether it would fit is
// looked at after the yes: what there is on this machine, and how much room, is nobody's
// business who only offers, and how soon a no comes would tell it as well.
func (in *incoming) ask(ctx context.Context, no *fault.Refusal) error {
	put := in.question
	if no != nil || in.terms.Ask == nil {
		put = nil
	}
	q := batch.Question{From: in.sess.Peer(), Device: in.dev.ID, Size: in.file.Size}
	if b := in.batch(); b != nil {
		q.Batch, q.Index, q.Count, q.Bytes = b.ID, b.Index, b.Count, b.Bytes
	}
	yes, err := in.r.answers.Ask(ctx, q, put)
	switch {
	case err != nil || yes:
		return err
	case no != nil:
		return no.Err
	}
	return fault.ErrDeclined
}

// unasked is what comes of an offer without a yes: that it was declined, unless the
// question came to nothing.
func unasked(ctx context.Context, err error) error {
	no := fault.Refuse(err, jingle.Reason{Condition: jingle.Decline})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errTaken):
		no.Reason.Condition = jingle.Busy
	}
	return no
}

// question puts the question, unless --once has taken something else while it had to wait.
// With a yes it takes this. An error counts as a no.
func (in *incoming) question(ctx context.Context) (yes bool, err error) {
	err = errTaken
	if in.r.once.Open(in.lot) {
		yes, err = in.terms.Ask(ctx, Question{
			Peer: in.sess.Peer(), Name: in.head.Name, Size: in.file.Size,
			Description: clean.Text(in.file.Description), Device: conversation.DeviceInfo(in.dev), Batch: in.batch(),
			Insecure: in.clear.Form == dialect.FormPlaintext, Directory: in.d.Sealed().Manifest() != nil, Set: in.set(),
		})
	}
	if yes {
		in.claim()
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", fault.ErrDeclined, err)
	}
	return yes, nil
}

// fileOf is the file as --once knows it.
func (in *incoming) fileOf() batch.File {
	f := batch.File{Key: in.lot, Transfer: in.head.Transfer}
	if b := in.batch(); b != nil {
		f.Count = b.Count
	}
	return f
}

// claim is that of --once, for the offer.
func (in *incoming) claim() (ours bool) {
	if in.unclaim == nil {
		ours, in.unclaim = in.r.once.Claim(in.fileOf())
		return ours
	}
	return true
}
