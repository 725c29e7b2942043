package stream

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"jetsend/internal/source"
)

// TestPlainStream: so many bytes as were announced, no fewer, and none of the rest is
// looked at.
func TestPlainStream(t *testing.T) {
	for _, size := range []int{0, 1, 2, Chunk - 1, Chunk, Chunk + 1, 3*Chunk + 77} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		a, b := pair(t)
		out := make(chan error, 1)
		go func() {
			out <- InsecureOut(t.Context(), a, bytes.NewReader(data), int64(size), Outgoing{})
		}()
		var got bytes.Buffer
		m := meterFor(t)
		if err := InsecureIn(t.Context(), b, &got, int64(size), Incoming{Options: Options{Meter: m}}); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if err := <-out; err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(got.Bytes(), data) || m.Bytes() != int64(size) {
			t.Errorf("%d bytes: differ", size)
		}
	}
	for name, tt := range map[string]struct {
		wire string
		want error
	}{
		"exact": {"abc", nil}, "more": {"abcd", nil}, "cut": {"ab", io.ErrUnexpectedEOF}, "nothing": {"", io.ErrUnexpectedEOF},
	} {
		a, b := pair(t)
		go func() { _, _ = io.WriteString(a, tt.wire); _ = a.CloseWrite() }()
		var got bytes.Buffer
		if err := InsecureIn(t.Context(), b, &got, 3, Incoming{}); !errors.Is(err, tt.want) || err == nil && got.String() != "abc" {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
	}
}

// TestPlainSourceChanged: a file that changed while it was sent never arrives whole.
func TestPlainSourceChanged(t *testing.T) {
	data := bytes.Repeat([]byte("x"), Chunk+1)
	a, b := pair(t)
	got := make(chan []byte, 1)
	go func() { all, _ := io.ReadAll(b); got <- all }()
	changed := func() error { return source.ErrChanged }
	if err := InsecureOut(t.Context(), a, bytes.NewReader(data), int64(len(data)), Outgoing{Unchanged: changed}); !errors.Is(err, source.ErrChanged) {
		t.Error(err)
	}
	_ = a.Close()
	if n := len(<-got); n != len(data)-1 {
		t.Errorf("%d bytes of %d went out", n, len(data))
	}
}
