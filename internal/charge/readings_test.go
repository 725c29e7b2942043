package charge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stream"
)

// TestMarksAreBounded exceeds the transfers of whose sources it is remembered how far
// they have been read.
func TestMarksAreBounded(t *testing.T) {
	var s Readings
	for i := range 2 * maxMarks {
		d := new(stream.Digest)
		_, _ = d.Write([]byte("x"))
		s.Mark(fmt.Sprint(i), d)
	}
	if len(s.marks) != maxMarks {
		t.Errorf("%d marks", len(s.marks))
	}
}

// TestReadingsAreCharged: what a contact has us read is charged to him, chunk by chunk;
// his sessions wait for each other, and nobody else waits.
func TestReadingsAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Readings
		romeo, tybalt := jid.MustParse("romeo@jet.test"), jid.MustParse("tybalt@jet.test")
		read := func(ctx context.Context, of jid.JID, chunks int64) error {
			file := bytes.NewReader(make([]byte, chunks*stream.Chunk))
			return s.Turn(ctx, of, func(pay Payment) error {
				sum := stream.Digest{Pay: pay}
				return sum.Advance(ctx, file, chunks*stream.Chunk)
			})
		}
		begun := time.Now()
		if err := s.Turn(t.Context(), tybalt, func(pay Payment) error { return pay(t.Context(), readAtOnce) }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("what may be read at once took %v", took)
		}
		const more = 160
		if err := read(t.Context(), tybalt, more); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(begun), time.Duration(more*stream.Chunk/ReadRate)*time.Second; took < want {
			t.Errorf("read again in %v, which is faster than %v", took, want)
		}
		begun = time.Now()
		err := s.Turn(t.Context(), tybalt, func(Payment) error {
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
