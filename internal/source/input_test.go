package source

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestSeveral: what several sends read of one input is read once, and each has it for itself; when
// it cannot be read, none has it.
func TestSeveral(t *testing.T) {
	o := Opener{Spools: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	in := NewInput(strings.NewReader("all of it"))
	sources := make([]*Source, 4)
	var group sync.WaitGroup
	for i := range sources {
		group.Go(func() {
			var err error
			if sources[i], err = o.Read(t.Context(), in, "", Limits{MaxSize: 9}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	ids := map[string]bool{}
	for i, s := range sources {
		ids[s.Transfer] = true
		b := make([]byte, s.Size)
		if _, err := s.Data.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) || string(b) != "all of it" {
			t.Errorf("%d: %q, %v", i, b, err)
		}
		Close(s) // the others have theirs
	}
	if len(ids) != len(sources) {
		t.Errorf("%d transfers", len(ids))
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(o.Spools); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}

	broken := NewInput(io.MultiReader(strings.NewReader("some"), failing{}))
	for range 2 {
		if _, err := o.Read(t.Context(), broken, "", Limits{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	endless := NewInput(waits{})
	if _, err := o.Read(over, endless, "", Limits{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := os.ReadDir(o.Spools); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := errors.Join(broken.Close(), endless.Close()); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

type waits struct{}

func (waits) Read([]byte) (int, error) { select {} }
