package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"jetsend/internal/spool"
)

// Input is an input that several sends of one run are about: it is read once, by the one that
// comes first, and each of the others gets a copy of what that has kept.
type Input struct {
	in io.Reader

	mu    sync.Mutex
	begun bool
	kept  *spool.File // open a second time
	err   error
}

// NewInput returns an input for several sends. It has to be closed, after all of them.
func NewInput(in io.Reader) *Input { return &Input{in: in} }

// Read implements [io.Reader]; it is an error, since an [Opener] reads the input.
func (*Input) Read([]byte) (int, error) {
	return 0, fmt.Errorf("read an input of several sends: %w", errors.ErrUnsupported)
}

// Close lets go of what was read.
func (s *Input) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		return nil
	}
	return s.kept.Close()
}

// create is spool.Create of the input, or of what was read from it.
func (s *Input) create(ctx context.Context, dir, id string, maxSize int64) (*spool.File, error) {
	s.mu.Lock() // the others have to wait for the first one, whose ctx is that of all
	defer s.mu.Unlock()
	if s.begun && s.err == nil {
		return spool.Create(ctx, io.NewSectionReader(s.kept, 0, s.kept.Size()), dir, id, maxSize)
	}
	if s.begun {
		return nil, s.err
	}
	s.begun = true
	f, err := spool.Create(ctx, s.in, dir, id, maxSize)
	if err == nil {
		if s.kept, err = spool.Open(f.Name()); err != nil {
			err = errors.Join(err, f.Remove())
		}
	}
	if s.err = err; err != nil {
		return nil, err
	}
	return f, nil
}
