package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	"jetsend/internal/charge"
	"jetsend/internal/fault"
	"jetsend/internal/policy"
	"jetsend/internal/source"
	"jetsend/internal/stream"
)

// counted is a file that counts what is read of it.
type counted struct {
	io.ReaderAt
	read int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.read += int64(n)
	return n, err
}
func (c *counted) Close() error                    { return nil }
func (c *counted) Unchanged(context.Context) error { return nil }

// TestReadAgain: a receiver that asks for the rest of a file from the same byte
// again, or from a later one, has nothing read again, and gets the same answer.
func TestReadAgain(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), stream.Chunk/4) // four chunks
	file := &counted{ReaderAt: bytes.NewReader(content)}
	src := &source.Source{Data: file, Size: int64(len(content))}
	var s charge.Readings
	ask := func(offset int64, right bool) {
		t.Helper()
		sum := sha256.Sum256(content[:offset])
		prefix := hex.EncodeToString(sum[:])
		if !right {
			prefix = hex.EncodeToString(make([]byte, sha256.Size))
		}
		up := &upload{src: src, sum: s.Resume("x", offset)}
		err := up.checkPrefix(t.Context(), offset, prefix)
		if right && err != nil || !right && !errors.Is(err, fault.ErrPrefix) {
			t.Errorf("from byte %d: %v", offset, err)
		}
		s.Mark("x", &up.sum)
	}
	ask(0, true)
	ask(2*stream.Chunk, true)
	for range 10 {
		ask(2*stream.Chunk, false)
		ask(2*stream.Chunk, true)
	}
	ask(3*stream.Chunk, true)
	if file.read != 3*stream.Chunk {
		t.Errorf("%d bytes were read, the furthest request was from %d", file.read, 3*stream.Chunk)
	}
	ask(stream.Chunk, true) // further back: from the beginning
	ask(3*stream.Chunk, true)
	if file.read != 4*stream.Chunk {
		t.Errorf("%d bytes were read", file.read)
	}
}

// TestNothingToRead: while what is here of a contact's large file is read, a file of his
// of which nothing is here does not wait for that.
func TestNothingToRead(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: policy.Contacts})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := juliet.receiver.Load().readings.Turn(ctx, romeo.JID().Bare(), func(charge.Payment) error {
		return romeo.Send(ctx, SendOptions{To: juliet.JID().Bare(), Files: []source.Named{{Path: testFile(t, "small")}}, Wait: time.Minute})
	})
	if err != nil {
		t.Error(err)
	}
}
