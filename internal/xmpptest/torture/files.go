package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// hash is a SHA-256.
type hash [sha256.Size]byte

// makeSource writes a file of bytes that repeat nowhere, made from the seed.
func makeSource(path string, seed uint64, size int64) (sum hash, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sum, fmt.Errorf("make source: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8(key), size); err != nil {
		return sum, fmt.Errorf("fill source: %w", err)
	}
	return hash(h.Sum(nil)), nil
}

func sumFile(path string) (sum hash, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, fmt.Errorf("open file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("read %s: %w", path, err)
	}
	return hash(h.Sum(nil)), nil
}

// listing is what a download directory holds.
type listing struct{ visible, hidden []string } // names

func list(dir string) (l listing, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, fmt.Errorf("look into %s: %w", filepath.Base(dir), err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			l.hidden = append(l.hidden, e.Name())
		} else {
			l.visible = append(l.visible, e.Name())
		}
	}
	return l, nil
}

// released reports whether a file of the right size is in the download directory.
func (r *round) released() bool {
	if r.goods != nil {
		return r.goods.arrived(r.inbox)
	}
	l, err := list(r.inbox)
	if err != nil {
		return false
	}
	for _, name := range l.visible {
		if info, err := os.Stat(filepath.Join(r.inbox, name)); err == nil && info.Size() == r.plan.size {
			return true
		}
	}
	return false
}

// checkInbox compares every file that has its final name with the source. At the
// end of a round there is exactly one, and nothing hidden.
func (r *round) checkInbox(over bool) {
	if r.goods != nil {
		r.checkGoods(over)
		return
	}
	l, err := list(r.inbox)
	if err != nil {
		r.blame("%v", err)
	}
	for _, name := range l.visible {
		if sum, err := sumFile(filepath.Join(r.inbox, name)); err != nil || sum != r.sum {
			r.blame("%s is not the source (error: %v)", name, err)
		}
	}
	if len(l.visible) > 1 {
		r.blame("one transfer, %d files: %q", len(l.visible), l.visible)
	}
	if !over {
		return
	}
	if len(l.visible) == 0 {
		r.blame("there is no file")
	}
	if len(l.hidden) > 0 {
		r.blame("left behind: %q", l.hidden)
	}
	r.checkOutbox()
}

// checkOutbox looks at where the sender would receive.
func (r *round) checkOutbox() {
	if l, err := list(r.outbox); err != nil || len(l.visible)+len(l.hidden) > 0 {
		r.blame("the sender has received %v (error: %v)", l, err)
	}
}
