package archive

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkMany is a tree of a thousand small files: there, and back.
func BenchmarkMany(b *testing.B) {
	d := filepath.Join(b.TempDir(), "many")
	for i := range 1000 {
		write(b, filepath.Join(d, fmt.Sprint(i%31), fmt.Sprint(i)), strings.Repeat("y", 8000))
	}
	m := mustScan(b, d)
	packed := stream(b, m)
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			mustScan(b, d)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(m.Size())
		r := mustOpen(b, m)
		for b.Loop() {
			if _, err := r.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("extract", func(b *testing.B) {
		b.SetBytes(m.Size())
		y := newYard(b)
		for b.Loop() {
			if _, err := Extract(b.Context(), bytes.NewReader(packed), y.root, Target{ID: "1", Name: "in"}, Limits{Bytes: m.Size()}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
