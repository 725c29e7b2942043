package transfer

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"jetsend/internal/exitcode"
	sending "jetsend/internal/source"
)

// openSources opens all that is to be sent, and reads inputs to their end.
func (e *Endpoint) openSources(ctx context.Context, opt SendOptions) (out []*source, err error) {
	for _, f := range opt.Files {
		var s *source
		if f.Input != nil {
			s, err = e.opener().Read(ctx, f.Input, f.Name, sending.Limits{MaxSize: opt.MaxSpool, Empty: opt.AllowEmpty})
		} else {
			s, err = sending.Open(ctx, f.Path, f.Name)
		}
		if err != nil {
			sending.Close(out...)
			return nil, sourceFailure(ctx, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// opener opens the sources of our account.
func (e *Endpoint) opener() sending.Opener {
	return sending.Opener{Spools: sending.Spools(e.cfg.StateDir, e.cfg.Session.JID), Log: e.log}
}

// sourceFailure is what a command ends with whose source cannot be had.
func sourceFailure(ctx context.Context, err error) *Failure {
	if cause := context.Cause(ctx); cause != nil {
		return failureOf(cause, false)
	}
	if errors.Is(err, ErrInterrupted) {
		return failureOf(ErrInterrupted, false)
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err, Hints: sending.Hints(err)}
}

func newBatch(sources []*source) *Batch {
	if len(sources) < 2 {
		return nil
	}
	b := &Batch{ID: uuid.NewString(), Count: len(sources)}
	for _, s := range sources {
		b.Bytes += s.Size
	}
	return b
}

// tellSkipped warns of what is not in the archive of a directory.
func (e *Endpoint) tellSkipped(sources []*source) {
	for _, s := range sources {
		for _, text := range s.LeftOut() {
			e.cfg.Report(Warning{Text: text})
		}
	}
}

// tellRenames warns of what will have another name, before anything is sent.
func (e *Endpoint) tellRenames(sources []*source) {
	for _, s := range sources {
		count, texts := s.Renames()
		e.tellChanges(s.Name, count, texts)
	}
}
