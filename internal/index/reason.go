package index

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"jetsend/internal/archive"
	"jetsend/internal/clean"
	"jetsend/internal/fsys"
	"jetsend/internal/set"
	"jetsend/internal/source"
)

// reason is an error whose text is what the other end is told: it has no paths.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

var (
	errChanged = &reason{"it has changed", source.ErrChanged}
	errLong    = &reason{fmt.Sprintf("a path in it has %d bytes or more", set.MaxPath), nil}
	errDeep    = &reason{fmt.Sprintf("more than %d levels", archive.MaxDepth), nil}
)

// because gives an error its reason.
func because(err error) error {
	var r *reason
	switch {
	case err == nil, errors.As(err, &r):
		return err
	case errors.Is(err, source.ErrChanged), fsys.Misplaced(err):
		return &reason{errChanged.text, fmt.Errorf("%w: %w", source.ErrChanged, err)}
	case errors.Is(err, fs.ErrNotExist):
		return &reason{"it is gone", fmt.Errorf("%w: %w", source.ErrChanged, err)}
	case errors.Is(err, fs.ErrPermission):
		return &reason{"permission denied", err}
	}
	return &reason{clean.Error(cause(err)), err}
}

// cause takes off the operation and the path that package os adds.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
