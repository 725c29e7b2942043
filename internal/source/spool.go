package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/exclude"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/spool"
	"jetsend/internal/state"
)

const (
	// spoolsSuffix ends the name of the directory of an account's spools, which
	// stands beside its state file.
	spoolsSuffix = ".spools"
	// keepSpool is how long what was read from an input is kept for a transfer
	// that nobody resumes: it is plaintext.
	keepSpool = 30 * 24 * time.Hour
	// inputName is what the data of an input are called, unless the user says.
	inputName = "stdin"
)

// ErrEmptyInput means that an input had no byte: most often the program before us in the pipe has failed.
var ErrEmptyInput = errors.New("there is nothing to read from the input")

// spooled is what was read from an input. It belongs to one transfer and goes
// with it.
type spooled struct {
	file *spool.File
	// keep says that the transfer may go on.
	keep bool
	log  *slog.Logger
}

// end removes the spool, unless the transfer may go on.
func (s *spooled) end(transfer string) {
	if s.keep {
		return
	}
	if err := s.file.Remove(); err != nil {
		s.log.Error("spooled input stays", "transfer", transfer, "error", err)
	}
}

// Opener opens the sources of an account.
type Opener struct {
	// Spools is the directory that keeps what is read from inputs: that of [Spools].
	Spools string
	Log    *slog.Logger
}

// Spools is where the inputs of an account are kept.
func Spools(stateDir string, account jid.JID) string {
	return state.Path(stateDir, account.Bare()) + spoolsSuffix
}

// Limits bound what is read from an input.
type Limits struct {
	MaxSize int64 // bytes; 0: no limit
	Empty   bool  // an input without a byte is a source, too
}

// Named is what a user names to be sent.
type Named struct {
	Path string
	Name string // as it is offered; empty means the base name of Path
	// Exclude names the entries of a directory that are left out.
	Exclude *exclude.List
	// Input, when not nil, is read to its end before anything is offered, and kept
	// in Spools. There is no Path then.
	Input io.Reader
}

// OpenAll opens what was named, or nothing of it. The inputs are read to their ends, by
// [Opener.Read].
func (o Opener) OpenAll(ctx context.Context, named []Named, limits Limits) (all []*Source, err error) {
	for _, n := range named {
		var s *Source
		if n.Input != nil {
			s, err = o.Read(ctx, n.Input, n.Name, limits)
		} else {
			s, err = Open(ctx, n)
		}
		if err != nil {
			Close(all...)
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Read reads an input to its end; an empty name means "stdin". ErrEmptyInput, those
// of package spool and the error of in itself are in what it returns.
func (o Opener) Read(ctx context.Context, in io.Reader, name string, limits Limits) (*Source, error) {
	if err := state.Private(o.Spools); err != nil {
		return nil, fmt.Errorf("spool input: %w", err)
	}
	id := uuid.NewString()
	create := func() (*spool.File, error) { return spool.Create(ctx, in, o.Spools, id, limits.MaxSize) }
	if several, ok := in.(*Input); ok {
		create = func() (*spool.File, error) { return several.create(ctx, o.Spools, id, limits.MaxSize) }
	}
	f, err := create()
	if err != nil {
		return nil, err
	}
	if f.Size() == 0 && !limits.Empty {
		return nil, errors.Join(ErrEmptyInput, f.Remove())
	}
	if name == "" {
		name = inputName
	}
	return o.ofSpool(f, id, name)
}

func (o Opener) ofSpool(f *spool.File, id, name string) (*Source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	src, err := ofFile(f.File, info, f.Name(), name)
	if err != nil {
		return nil, err
	}
	src.Mode, src.Transfer, src.spool = 0, id, &spooled{file: f, log: o.Log}
	return src, nil
}

// Reopen opens the source of a transfer that was offered before. ErrChanged means
// that it is not what was offered any more.
func (o Opener) Reopen(ctx context.Context, row *journal.Row) (src *Source, err error) {
	if row.Source == journal.SourceSpool {
		src, err = o.reopenSpool(row)
	} else {
		src, err = reopen(ctx, row)
	}
	if err != nil {
		return nil, err
	}
	if !src.same(row) {
		Close(src)
		return nil, ErrChanged
	}
	return src, nil
}

func (o Opener) reopenSpool(row *journal.Row) (*Source, error) {
	f, err := spool.Open(row.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the data from the input are not kept any more", ErrChanged)
	}
	if err != nil {
		return nil, err
	}
	src, err := o.ofSpool(f, row.ID, row.Name)
	if err == nil {
		src.spool.keep = true
	}
	return src, err
}

// Sweep removes what no transfer needs any more: processes that died leave it, and
// transfers that nobody resumes.
func (o Opener) Sweep(ctx context.Context, j *journal.Journal) {
	now := time.Now()
	_, err := spool.Sweep(o.Spools, func(id string) bool {
		row, err := j.Load(ctx, journal.Key{ID: id, Direction: journal.Send})
		if err != nil {
			return !errors.Is(err, journal.ErrUnknown)
		}
		return !row.State.Over() && now.Sub(row.Moved) < keepSpool
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.Log.Warn("sweep spools", "error", err)
	}
}

// Discard removes what was read from an input for a transfer, and nothing of another
// source, which is the user's.
func Discard(row *journal.Row) error {
	if row.Source != journal.SourceSpool {
		return nil
	}
	err := os.Remove(row.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Hints say what can be done about an input that could not be kept.
func Hints(err error) []string {
	switch {
	case errors.Is(err, spool.ErrTooLarge):
		return []string{"allow more with --max-spool"}
	case errors.Is(err, spool.ErrNoSpace):
		return []string{"free space in the state directory, or name another one with --state-dir"}
	case errors.Is(err, ErrEmptyInput):
		return []string{"to send an empty file all the same, add --allow-empty"}
	}
	return nil
}
