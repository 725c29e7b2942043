package set

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// samples are messages of every kind, with what is at their borders.
func samples() []Message {
	sum := bytes.Repeat([]byte{0xab}, 32)
	at := time.Unix(1700000000, 123456789).UTC()
	return []Message{
		Entry{Kind: Directory, MTime: at, Mode: 0o755, Extents: -1},
		Entry{Kind: File, Path: []string{".git", "con\xff\n"}, Size: math.MaxInt64, MTime: time.Unix(-5, 1).UTC(), Mode: 0o777, Extents: -1, SHA256: sum},
		Entry{Kind: Link, Path: []string{strings.Repeat("n", 255)}, MTime: at, Target: "../a b", Extents: -1},
		Entry{Kind: File, Path: []string{"sparse"}, Size: 1 << 40, MTime: at, Mode: 0o600, Extents: 2},
		Extents{[]Extent{{0, 4096}, {1 << 39, 1}}},
		Entry{Kind: File, Path: []string{"hole"}, Size: 5, MTime: at},
		Entry{Kind: Directory, Path: []string{"locked"}, MTime: at, Extents: -1, Failed: "permission denied"},
		Indexed{},
		Want{First: 0, Count: 5},
		Want{First: 7, Count: math.MaxUint64 - 7, Nothing: true},
		Want{First: 6, Count: 1, Have: 1 << 20, SHA256: sum},
		Data{1, 1 << 33, []byte("bytes")},
		Data{0, 0, bytes.Repeat([]byte("x"), MaxData)},
		End{Number: 1},
		End{9, sum},
		Released{0, 1, New},
		Released{7, 1 << 20, Equal},
		Renamed{3, "a (1)\xff"},
		Kept{4, "b (1).txt"},
		Argument{ID: uuid.UUID{1, 2, 15: 9}, Name: "photos", Folder: bytes.Repeat([]byte{7}, 16), Entries: MaxEntries, Bytes: math.MaxInt64},
		Argument{Name: "", Entries: 1},
		Failed{5, "permission denied"},
		Failed{Number: 6},
		Done{1 << 20, 3},
		Alive{},
	}
}

// inRecords cuts a stream into records of n bytes, with empty ones between.
func inRecords(stream []byte, n int) func() ([]byte, error) {
	var records [][]byte
	for chunk := range slices.Chunk(stream, n) {
		records = append(records, chunk, nil)
	}
	return func() ([]byte, error) {
		if len(records) == 0 {
			return nil, io.EOF
		}
		next := records[0]
		records = records[1:]
		return next, nil
	}
}

// readAll reads messages; those of the last one that is read stay as they are.
func readAll(r *Reader) (all []Message, err error) {
	for {
		m, err := r.Read()
		if err != nil {
			return all, err
		}
		if d, ok := m.(Data); ok {
			d.Bytes = bytes.Clone(d.Bytes)
			m = d
		}
		all = append(all, m)
	}
}

func TestMessages(t *testing.T) {
	var stream []byte
	for _, m := range samples() {
		stream = Append(stream, m)
	}
	for _, n := range []int{1, 7, 4096, 1 << 16, len(stream)} {
		got, err := readAll(NewReader(inRecords(stream, n)))
		if !errors.Is(err, io.EOF) || len(got) != len(samples()) {
			t.Fatalf("records of %d bytes: %d messages, %v", n, len(got), err)
		}
		for i, want := range samples() {
			if !reflect.DeepEqual(got[i], want) {
				t.Errorf("records of %d bytes: %+v, want %+v", n, got[i], want)
			}
		}
	}
}

// TestCut: a stream that ends within a message says so, wherever that is.
func TestCut(t *testing.T) {
	for _, m := range samples() {
		whole := Append(nil, m)
		for i := 1; i < min(len(whole), 400); i++ {
			if got, err := readAll(NewReader(inRecords(whole[:i], 1000))); len(got) > 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%T after %d bytes: %v, %v", m, i, got, err)
			}
		}
	}
	broken := errors.New("broken")
	r := NewReader(func() ([]byte, error) { return nil, broken })
	if _, err := r.Read(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestLies: what no honest jetsend says.
func TestLies(t *testing.T) {
	long := func(n int) string { return strings.Repeat("n", n) }
	entry := Entry{Kind: File, Path: []string{"a"}, Extents: -1}
	with := func(f func(e *Entry)) Message { e := entry; f(&e); return e }
	for name, m := range map[string]Message{
		"no name":              with(func(e *Entry) { e.Path = []string{"a", ""} }),
		"here":                 with(func(e *Entry) { e.Path = []string{"."} }),
		"up":                   with(func(e *Entry) { e.Path = []string{"a", "..", "b"} }),
		"two names in one":     with(func(e *Entry) { e.Path = []string{"a/b"} }),
		"NUL":                  with(func(e *Entry) { e.Path = []string{"a\x00b"} }),
		"a long path":          with(func(e *Entry) { e.Path = slices.Repeat([]string{long(255)}, 17) }),
		"a path of 10^6":       with(func(e *Entry) { e.Path = []string{long(1e6)} }),
		"many names":           with(func(e *Entry) { e.Path = slices.Repeat([]string{"a"}, 5000) }),
		"setuid":               with(func(e *Entry) { e.Mode = 0o4755 }),
		"a negative size":      with(func(e *Entry) { e.Size = -1 }),
		"a short hash":         with(func(e *Entry) { e.SHA256 = []byte{1} }),
		"fewer than none":      with(func(e *Entry) { e.Extents = -2 }),
		"extents":              with(func(e *Entry) { e.Extents = MaxExtents + 1 }),
		"a device":             with(func(e *Entry) { e.Kind = 4 }),
		"no kind":              with(func(e *Entry) { e.Kind = 0 }),
		"a link to nothing":    Entry{Kind: Link, Path: []string{"l"}},
		"a link of NULs":       Entry{Kind: Link, Path: []string{"l"}, Target: "a\x00"},
		"a long link":          Entry{Kind: Link, Path: []string{"l"}, Target: long(MaxPath)},
		"no extents":           Extents{},
		"an empty extent":      Extents{[]Extent{{5, 0}}},
		"extents that touch":   Extents{[]Extent{{0, 5}, {5, 5}}},
		"extents that go back": Extents{[]Extent{{100, 5}, {50, 5}}},
		"an endless extent":    Extents{[]Extent{{math.MaxInt64, 2}}},
		"many extents":         Extents{slices.Repeat([]Extent{{1, 1}}, MaxExtentsEach+1)},
		"want none":            Want{First: 3},
		"want beyond numbers":  Want{First: 2, Count: math.MaxUint64},
		"the rest of two":      Want{Count: 2, Have: 5, SHA256: bytes.Repeat([]byte{1}, 32)},
		"the rest, no hash":    Want{Count: 1, Have: 5},
		"no data":              Data{Number: 1},
		"too much data":        Data{1, 0, make([]byte, MaxData+1)},
		"data beyond the end":  Data{1, math.MaxInt64, []byte("xx")},
		"data before":          Data{1, -1, []byte("x")},
		"a hash of 31":         End{1, make([]byte, 31)},
		"released none":        Released{First: 1, How: New},
		"released somehow":     Released{1, 1, 4},
		"renamed to nothing":   Renamed{Number: 1},
		"kept outside":         Kept{1, "../a"},
		"a folder of 15":       Argument{Folder: make([]byte, 15), Entries: 1},
		"no entries":           Argument{},
		"10^7 entries":         Argument{Entries: 1e7},
		"a long name":          Argument{Name: long(MaxName + 1), Entries: 1},
	} {
		if got, err := NewReader(inRecords(Append(nil, m), 1<<16)).Read(); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, raw := range map[string]string{
		"kind 0": "0000", "kind 14": "0e00", "something behind": "0a0100", "long length": "0a80808000", "length not shortest": "0a8000",
		"a body of 2^20": "0580808040", "number not shortest": "0704800001" + "01", "number too large": "070d" + "ffffffffffffffffff7f010101", "no number": "0700",
	} {
		b, err := hex.DecodeString(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := NewReader(inRecords(b, 1000)).Read(); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if m, err := NewReader(inRecords(Append(nil, Failed{1, long(9999)}), 1000)).Read(); err != nil || len(m.(Failed).Reason) != MaxReason {
		t.Errorf("a long reason: %v", err)
	}
}

// TestWorked holds the worked example of docs/protocol.md against what is written.
func TestWorked(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := hex.DecodeString("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1764500000, 500).UTC()
	for _, m := range []Message{
		Argument{ID: uuid.MustParse("0f6c0a1e-0000-4000-8000-000000000001"), Name: "work", Folder: []byte("0123456789abcdef"), Entries: 2, Bytes: 300},
		Entry{Kind: Directory, MTime: at, Mode: 0o755, Extents: -1},
		Entry{Kind: File, Path: []string{"HEAD"}, Size: 300, MTime: at, Mode: 0o644, Extents: -1},
		Indexed{},
		Want{First: 0, Count: 2},
		Want{First: 1, Count: 1, Have: 3, SHA256: sum},
		Data{1, 3, []byte("def")},
		End{Number: 1},
		Renamed{1, "HEAD (1)"},
		Kept{1, "HEAD (1)"},
		Released{1, 1, New},
		Failed{1, "permission denied"},
		Done{2, 0},
		Alive{},
	} {
		if b := hex.EncodeToString(Append(nil, m)); !strings.Contains(string(doc), b) {
			t.Errorf("docs/protocol.md does not have %T: %s", m, b)
		}
	}
}

func FuzzReader(f *testing.F) {
	var all []byte
	for _, m := range samples() {
		b := Append(nil, m)
		f.Add(b)
		all = append(all, b...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(NewReader(inRecords(b, 13)))
		if err == nil {
			t.Fatal("it does not end")
		}
		var again []byte
		for _, m := range got {
			again = Append(again, m)
		}
		if !bytes.HasPrefix(b, again) {
			t.Errorf("%x becomes %x", b, again)
		}
	})
}
