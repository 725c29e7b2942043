package index

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/source"
)

// flat makes a directory of so many empty files, of which most are links to a few.
func flat(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("file-%07d", n-i))
		if i%10_000 == 0 {
			if err := os.WriteFile(filepath.Join(dir, "first"), nil, 0o600); err != nil {
				tb.Fatal(err)
			}
		}
		err := os.Link(filepath.Join(dir, "first"), path)
		if i%10_000 == 9_999 || i == n-1 {
			err = errors.Join(err, os.Remove(filepath.Join(dir, "first")))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// TestMemory: what a listing of one large directory takes at its height is little more than
// the names in it.
func TestMemory(t *testing.T) {
	const n = 100_000
	dir := flat(t, n)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	over, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most.Store(max(most.Load(), now.HeapInuse))
		}
	}()
	ix := listed(t, Options{}, dir)
	count := uint64(0)
	for {
		it, err := ix.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if it.Argument == nil {
			count++
		}
	}
	close(over)
	<-stopped
	grown := int64(most.Load()) - int64(before.HeapInuse)
	t.Logf("%d entries: the heap grew by %d KiB", count, grown>>10)
	if count != n+1 || count != ix.Entries() || grown > 12<<20 {
		t.Errorf("%d entries, the heap grew by %d bytes", count, grown)
	}
}

// BenchmarkList lists 10,000 files of 4 KiB in 100 directories, and reads the listing.
func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	text := make([]byte, 4<<10)
	for i := range 10_000 {
		write(b, filepath.Join(dir, fmt.Sprint(i%100), fmt.Sprint(i)), string(text))
	}
	for name, opt := range map[string]Options{"plain": {}, "checksum": {Checksum: true}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ix, err := Make(b.Context(), []source.Named{{Path: dir}}, b.TempDir(), opt)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = ix.Next()
				}
				if !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				_ = ix.Close()
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		ix := listed(b, Options{}, dir)
		items := all(b, ix)
		for b.Loop() {
			for i := range items {
				if items[i].Origin == nil {
					continue
				}
				c, err := ix.Open(&items[i])
				if err != nil {
					b.Fatal(err)
				}
				_ = c.Close()
			}
		}
	})
}
