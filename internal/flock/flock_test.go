package flock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestLock: two open files of one name are two holders, and the one that is closed lets go.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	a, b, c := open(), open(), open()
	if err := errors.Join(Shared(a), Shared(b)); err != nil {
		t.Fatal(err)
	}
	if err := Exclusive(c); !errors.Is(err, ErrHeld) {
		t.Errorf("alone beside two: %v", err)
	}
	if _, err := c.WriteString("anybody writes"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(a.Close(), b.Close(), Exclusive(c)); err != nil {
		t.Fatal(err)
	}
	if err := Exclusive(open()); !errors.Is(err, ErrHeld) {
		t.Errorf("a second one alone: %v", err)
	}
}
