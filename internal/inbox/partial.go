package inbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"jetsend/internal/archive"
	"jetsend/internal/machine"
)

// Partial is a file on its way. One goroutine writes, rewinds and ends it;
// another may call Written and Sync meanwhile.
type Partial struct {
	dir     *Dir
	f       *os.File
	id      string
	name    string
	size    int64
	mode    fs.FileMode // wanted by Permit; 0 for what the umask leaves
	written atomic.Int64

	syncing sync.Mutex
	entered bool  // the entry of the directory is durable; under syncing
	lost    error // why syncing failed; under syncing
}

// Written returns how many bytes of the file are written. The bytes that it
// counts before a Sync are durable after it, unless Rewind came between.
func (p *Partial) Written() int64 { return p.written.Load() }

// Write appends b. It never writes more than was announced.
func (p *Partial) Write(b []byte) (int, error) {
	at := p.written.Load()
	if int64(len(b)) > p.size-at {
		return 0, ErrTooLong
	}
	if err := p.before(machine.Write, int64(len(b))); err != nil {
		return 0, noSpace(err)
	}
	n, err := p.f.WriteAt(b, at)
	p.written.Store(at + int64(n))
	return n, noSpace(err)
}

// before asks whether the machine takes the next step with the file.
func (p *Partial) before(op machine.Op, size int64) error {
	return machine.Before(op, p.dir.path, p.name, size)
}

// truncate cuts the file, or gives back what is reserved beyond its length.
func (p *Partial) truncate(size int64) error {
	if err := p.before(machine.Truncate, size); err != nil {
		return err
	}
	return p.f.Truncate(size)
}

// sync makes the data durable.
func (p *Partial) sync() error {
	if err := p.before(machine.Sync, 0); err != nil {
		return err
	}
	return p.f.Sync()
}

// Path returns the absolute path of the partial file.
func (p *Partial) Path() string { return p.dir.Path(p.name) }

// ReadAt reads what was written, as io.ReaderAt.
func (p *Partial) ReadAt(b []byte, off int64) (int, error) { return p.f.ReadAt(b, off) }

// Rewind cuts the file to n bytes, at most Written, and goes on writing there.
// The space for the rest is reserved anew; with ErrNoSpace the file is cut.
func (p *Partial) Rewind(n int64) error {
	at := p.written.Load()
	if n < 0 || n > at {
		return fmt.Errorf("rewind to %d of %d bytes", n, at)
	}
	if n == at {
		return nil
	}
	p.written.Store(n) // never more than is there
	if err := p.truncate(n); err != nil {
		return fmt.Errorf("cut partial file: %w", err)
	}
	return p.reserve(n)
}

// Sync makes durable what was written before the call, and the file's entry in
// the directory as well. After an error the system may have forgotten what it
// could not write, so that another try would only seem to succeed: the error
// stays, and the way on is Keep and Reopen at what was durable before.
func (p *Partial) Sync() error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	if p.lost != nil {
		return p.lost
	}
	err := p.sync()
	if err == nil && !p.entered {
		err = p.dir.names.Sync()
		p.entered = err == nil
	}
	if err != nil {
		p.lost = fmt.Errorf("sync partial file: %w", err)
	}
	return p.lost
}

// Keep closes the file and leaves it for Reopen. It does not sync. The space
// reserved for the rest is given back: a sender that offers much and sends little
// must not hold the disk for as long as the file is kept. It may be called at any
// time and again; after a Release there is nothing to keep.
func (p *Partial) Keep() error {
	var err error
	if at := p.Written(); at < p.size {
		if err = p.truncate(at); errors.Is(err, fs.ErrClosed) {
			return nil
		}
		if err != nil {
			err = fmt.Errorf("cut partial file: %w", err)
		}
	}
	return errors.Join(err, p.close())
}

// close closes the file as it is, if it is open.
func (p *Partial) close() error {
	if err := p.f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("close partial file: %w", err)
	}
	return nil
}

// Discard removes the partial file, and what was unpacked of it. It may be
// called at any time, after Keep too; after a Release there is nothing to remove.
func (p *Partial) Discard() error {
	err := errors.Join(p.close(), archive.Discard(p.dir.root, p.id))
	if rerr := p.dir.names.Remove(p.name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("remove partial file: %w", rerr))
	}
	return err
}
