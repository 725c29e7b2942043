package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/profile"
	"jetsend/internal/source"
)

// openSources opens all that is to be sent, reads inputs to their end, and warns of what
// will not arrive as it is here.
func (e *core) openSources(ctx context.Context, opt SendOptions) (out []*source.Source, err error) {
	for _, f := range opt.Files {
		var s *source.Source
		if f.Input != nil {
			s, err = e.opener().Read(ctx, f.Input, f.Name, source.Limits{MaxSize: opt.MaxSpool, Empty: opt.AllowEmpty})
		} else {
			s, err = source.Open(ctx, f.Path, f.Name)
		}
		if err != nil {
			source.Close(out...)
			return nil, sourceFailure(ctx, err)
		}
		out = append(out, s)
	}
	e.tellSkipped(out)
	e.tellRenames(out)
	return out, nil
}

// opener opens the sources of our account.
func (e *core) opener() source.Opener {
	return source.Opener{Spools: source.Spools(e.cfg.StateDir, e.cfg.Session.JID), Log: e.log}
}

// sourceFailure is what a command ends with whose source cannot be had.
func sourceFailure(ctx context.Context, err error) *fault.Failure {
	if cause := context.Cause(ctx); cause != nil {
		return fault.New(cause, false)
	}
	if errors.Is(err, fault.ErrInterrupted) {
		return fault.New(fault.ErrInterrupted, false)
	}
	var f *fault.Failure
	if errors.As(err, &f) {
		return f
	}
	return &fault.Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err, Hints: source.Hints(err)}
}

func newBatch(sources []*source.Source) *profile.Batch {
	if len(sources) < 2 {
		return nil
	}
	b := &profile.Batch{ID: uuid.NewString(), Count: len(sources)}
	for _, s := range sources {
		b.Bytes += s.Size
	}
	return b
}

// tellSkipped warns of what is not in the archive of a directory.
func (e *core) tellSkipped(sources []*source.Source) {
	for _, s := range sources {
		for _, text := range s.LeftOut() {
			e.cfg.Report(event.Warning{Text: text})
		}
	}
}

// tellRenames warns of what will have another name, before anything is sent.
func (e *core) tellRenames(sources []*source.Source) {
	for _, s := range sources {
		count, texts := s.Renames()
		e.tellChanges(s.Name, count, texts)
	}
}

// tellChanges warns of the first changes, and says how many more there are.
func (e *core) tellChanges(name string, count int, texts []string) {
	for _, text := range texts[:min(len(texts), maxChangesShown)] {
		e.cfg.Report(event.Warning{Text: text})
	}
	if more := count - maxChangesShown; more > 0 {
		e.cfg.Report(event.Warning{Text: fmt.Sprintf("%s: %d more are not as they were sent", clean.Text(name), more)})
	}
}

// maxChangesShown bounds the warnings about what is not as it was sent.
const maxChangesShown = 10
