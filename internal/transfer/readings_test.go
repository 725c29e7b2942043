package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
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

// TestReadAgain: who asks for the rest of a file from the same byte again, or from a
// later one, has nothing read again, and gets the same answer.
func TestReadAgain(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), chunk/4) // four chunks
	file := &counted{ReaderAt: bytes.NewReader(content)}
	src := &source{Data: file, Size: int64(len(content))}
	var s readings
	ask := func(offset int64, right bool) {
		t.Helper()
		sum := sha256.Sum256(content[:offset])
		prefix := hex.EncodeToString(sum[:])
		if !right {
			prefix = hex.EncodeToString(make([]byte, sha256.Size))
		}
		up := &upload{src: src, sum: s.resume("x", offset)}
		err := up.checkPrefix(t.Context(), offset, prefix)
		if right && err != nil || !right && !errors.Is(err, errPrefix) {
			t.Errorf("from byte %d: %v", offset, err)
		}
		s.mark("x", &up.sum)
	}
	ask(0, true)
	ask(2*chunk, true)
	for range 10 {
		ask(2*chunk, false)
		ask(2*chunk, true)
	}
	ask(3*chunk, true)
	if file.read != 3*chunk {
		t.Errorf("%d bytes were read, the furthest request was from %d", file.read, 3*chunk)
	}
	ask(chunk, true) // further back: from the beginning
	ask(3*chunk, true)
	if file.read != 4*chunk {
		t.Errorf("%d bytes were read", file.read)
	}
	for i := range 2 * maxMarks {
		d := new(digest)
		_, _ = d.Write([]byte("x"))
		s.mark(fmt.Sprint(i), d)
	}
	if len(s.marks) != maxMarks {
		t.Errorf("%d marks", len(s.marks))
	}
}

// TestNothingToRead: while what is here of a contact's large file is read, a file of his
// of which nothing is here does not wait for that.
func TestNothingToRead(t *testing.T) {
	s := prosody(t)
	juliet := online(t, s, s.Addr, "juliet", true, nil)
	romeo := online(t, s, s.Addr, "romeo", false, nil)
	receiving(t, juliet, ReceiveOptions{Dir: t.TempDir(), Accept: AcceptContacts})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := juliet.receiver.Load().readings.turn(ctx, romeo.JID().Bare(), func(payment) error {
		return romeo.Send(ctx, SendOptions{To: juliet.JID().Bare(), Files: []Source{{Path: testFile(t, "small")}}, Wait: time.Minute})
	})
	if err != nil {
		t.Error(err)
	}
}

// TestReadingsAreCharged: what a contact has us read is charged to him, chunk by chunk;
// his sessions wait for each other, and nobody else waits.
func TestReadingsAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s readings
		romeo, tybalt := jid.MustParse("romeo@jet.test"), jid.MustParse("tybalt@jet.test")
		read := func(ctx context.Context, of jid.JID, chunks int64) error {
			file := bytes.NewReader(make([]byte, chunks*chunk))
			return s.turn(ctx, of, func(pay payment) error {
				sum := digest{Pay: pay}
				return sum.Advance(ctx, file, chunks*chunk)
			})
		}
		begun := time.Now()
		if err := s.turn(t.Context(), tybalt, func(pay payment) error { return pay(t.Context(), readAtOnce) }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("what may be read at once took %v", took)
		}
		const more = 160
		if err := read(t.Context(), tybalt, more); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(begun), checkTime(more*chunk); took < want {
			t.Errorf("read again in %v, which is faster than %v", took, want)
		}
		begun = time.Now()
		err := s.turn(t.Context(), tybalt, func(payment) error {
			ended, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := read(ended, tybalt, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("two turns of a contact at once: %v", err)
			}
			begun = time.Now()
			return read(t.Context(), romeo, more)
		})
		if took := time.Since(begun); err != nil || took != 0 {
			t.Errorf("somebody else: %v, after %v", err, took)
		}
		for i := range 2 * maxReadings {
			_ = s.account(jid.MustParse(fmt.Sprintf("n%d@jet.test", i))).pay(t.Context(), 1)
		}
		if s.of.Len() != maxReadings {
			t.Errorf("%d accounts", s.of.Len())
		}
	})
}
