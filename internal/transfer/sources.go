package transfer

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/profile"
	"jetsend/internal/source"
)

const (
	// archiveSuffix ends the name of a directory towards clients that get it as a
	// plain archive.
	archiveSuffix = ".tar"
	// unpackTime is how much longer a receiver may take to its receipt for each
	// file of a directory: every one of them is synced.
	unpackTime = 20 * time.Millisecond
)

// checkTexts refuses what does not fit into a sealed offer.
func checkTexts(opt SendOptions) error {
	err := profile.CheckDescription(opt.Description)
	for _, f := range opt.Files {
		err = cmp.Or(err, profile.CheckName(f.Name))
	}
	if err != nil {
		return &fault.Failure{Code: exitcode.Usage, Reason: err.Error()}
	}
	return nil
}

// openSources opens all that is to be sent, and warns of what will not arrive as it is
// here. An error of an input that is a *Failure is what the command ends with.
func (e *core) openSources(ctx context.Context, opt SendOptions) ([]*source.Source, error) {
	all, err := e.opener().OpenAll(ctx, opt.Files, source.Limits{MaxSize: opt.MaxSpool, Empty: opt.AllowEmpty})
	if err != nil {
		return nil, sourceFailure(ctx, err)
	}
	for _, s := range all {
		for _, text := range s.LeftOut() {
			e.cfg.Report(event.Warning{Text: text})
		}
	}
	for _, s := range all {
		if _, text := s.Renamed(); text != "" {
			e.cfg.Report(event.Warning{Text: text})
		}
	}
	return all, nil
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

// directoryOf is what a sealed offer says of a source, nil for a file.
func directoryOf(s *source.Source) *profile.Directory {
	if s.Tree == nil {
		return nil
	}
	return &profile.Directory{Manifest: s.Tree.Manifest, Files: s.Tree.Files}
}
