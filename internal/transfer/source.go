package transfer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/exitcode"
)

// openNonblock keeps opening a FIFO from hanging.
const openNonblock = syscall.O_NONBLOCK

func openSources(files []Source) (out []*source, err error) {
	for _, f := range files {
		s, err := openSource(f)
		if err != nil {
			closeSources(out)
			return nil, &Failure{Code: exitcode.LocalFile, Reason: "file to send", Err: err}
		}
		out = append(out, s)
	}
	return out, nil
}

func closeSources(sources []*source) {
	for _, s := range sources {
		_ = s.file.Close() // only read
	}
}

func newBatch(sources []*source) *Batch {
	if len(sources) < 2 {
		return nil
	}
	b := &Batch{ID: uuid.NewString(), Count: len(sources)}
	for _, s := range sources {
		b.Bytes += s.size
	}
	return b
}

// source is a file to send, as it was when it was opened.
type source struct {
	file  *os.File
	path  string // absolute
	name  string
	size  int64
	mtime time.Time
}

func openSource(s Source) (*source, error) {
	// O_NONBLOCK: opening a FIFO must not hang; for a regular file it means nothing.
	f, err := os.OpenFile(s.Path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", s.Path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	name := s.Name
	if name == "" {
		name = filepath.Base(s.Path)
	}
	path, err := filepath.Abs(s.Path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &source{file: f, path: path, name: name, size: info.Size(), mtime: info.ModTime()}, nil
}

// unchanged fails when the file is not the one that was opened any more.
func (s *source) unchanged() error {
	info, err := s.file.Stat()
	if err != nil {
		return &sourceError{err}
	}
	if info.Size() != s.size || !info.ModTime().Equal(s.mtime) {
		return &sourceError{errSourceChanged}
	}
	return nil
}
