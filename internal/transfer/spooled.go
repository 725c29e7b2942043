package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/journal"
	"jetsend/internal/spool"
	"jetsend/internal/state"
)

const (
	// spoolsSuffix ends the name of the directory of an account's spools, which
	// stands beside its state file.
	spoolsSuffix = ".spools"
	// keepSpool is how long what was read from an input is kept for a transfer
	// that nobody goes on with: it is plaintext.
	keepSpool = 30 * 24 * time.Hour
	// inputName is what the data of an input are called, unless the user says.
	inputName = "stdin"
)

// spooled is what was read from an input. It belongs to one transfer and goes
// with it.
type spooled struct {
	file *spool.File
	id   string // of the transfer
	// keep says that the transfer may go on.
	keep bool
	log  *slog.Logger
}

// end removes the spool, unless the transfer may go on.
func (s *spooled) end() {
	if s.keep {
		return
	}
	if err := s.file.Remove(); err != nil {
		s.log.Error("spooled input stays", "transfer", s.id, "error", err)
	}
}

// settled takes note of the state in which the transfer was left.
func (s *source) settled(row journal.Row) {
	if s.spool != nil {
		s.spool.keep = !row.State.Over()
	}
}

// spools is where the inputs of the account are kept.
func (e *Endpoint) spools() string {
	return state.Path(e.cfg.StateDir, e.cfg.Session.JID.Bare()) + spoolsSuffix
}

// errEmptyInput: most often the program before us in the pipe has failed.
var errEmptyInput = errors.New("there is nothing to read from the input")

// readInput reads an input to its end.
func (e *Endpoint) readInput(ctx context.Context, from Source, opt SendOptions) (*source, error) {
	dir := e.spools()
	if err := state.Private(dir); err != nil {
		return nil, fmt.Errorf("spool input: %w", err)
	}
	id := uuid.NewString()
	f, err := spool.Create(ctx, from.Input, dir, id, opt.MaxSpool)
	if err != nil {
		return nil, err
	}
	if f.Size() == 0 && !opt.AllowEmpty {
		return nil, errors.Join(errEmptyInput, f.Remove())
	}
	name := from.Name
	if name == "" {
		name = inputName
	}
	return e.spoolSource(f, id, name)
}

func (e *Endpoint) spoolSource(f *spool.File, id, name string) (*source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	src, err := fileSource(f.File, info, f.Name(), name)
	if err != nil {
		return nil, err
	}
	src.mode, src.spool = 0, &spooled{file: f, id: id, log: e.log}
	return src, nil
}

// reopen opens the source of a transfer that was offered before. errSourceChanged
// means that it is not what was offered any more.
func (e *Endpoint) reopen(ctx context.Context, row *journal.Row) (src *source, err error) {
	if Spooled(row) {
		src, err = e.reopenSpool(row)
	} else {
		src, err = reopenSource(ctx, row)
	}
	if err != nil {
		return nil, err
	}
	if !src.same(row) {
		closeSources([]*source{src})
		return nil, errSourceChanged
	}
	return src, nil
}

func (e *Endpoint) reopenSpool(row *journal.Row) (*source, error) {
	f, err := spool.Open(row.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: what was read from the input is not kept any more", errSourceChanged)
	}
	if err != nil {
		return nil, err
	}
	src, err := e.spoolSource(f, row.ID, row.Name)
	if err == nil {
		src.spool.keep = true
	}
	return src, err
}

// Spooled tells whether the source of a transfer is what was read from an input.
func Spooled(row *journal.Row) bool {
	return row.Direction == journal.Send && filepath.Base(row.Path) == filepath.Base(spool.Path("", row.ID))
}

// discardSpool removes what was read from an input for a transfer.
func discardSpool(row *journal.Row) error {
	err := os.Remove(row.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweepSpools removes what no transfer needs any more: processes that died
// leave it.
func (e *Endpoint) sweepSpools(ctx context.Context) {
	now := time.Now()
	_, err := spool.Sweep(e.spools(), func(id string) bool {
		row, err := e.journal.Load(ctx, journal.Key{ID: id, Direction: journal.Send})
		if err != nil {
			return !errors.Is(err, journal.ErrUnknown)
		}
		return !row.State.Over() && now.Sub(row.Moved) < keepSpool
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.log.Warn("sweep spools", "error", err)
	}
}

// spoolHints say what can be done about an input that could not be kept.
func spoolHints(err error) []string {
	switch {
	case errors.Is(err, spool.ErrTooLarge):
		return []string{"allow more with --max-spool"}
	case errors.Is(err, spool.ErrNoSpace):
		return []string{"free space in the state directory, or name another one with --state-dir"}
	case errors.Is(err, errEmptyInput):
		return []string{"to send an empty file all the same, add --allow-empty"}
	}
	return nil
}
