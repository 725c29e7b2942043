package crypto

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/iotest"
)

func testBinding() Binding {
	return Binding{
		Random: [RandomSize]byte{1, 2}, Transfer: "t", SID: "s", Initiator: "romeo@montague.example/a", Responder: "juliet@capulet.example/b",
		Offer: [32]byte{3}, Accept: [32]byte{4}, Bytestream: "b",
	}
}

// recorded is a stream of records, each as it is on the wire; the last one is final.
func recorded(t *testing.T, s *Secret, role Role, b Binding, plain ...string) (records [][]byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewRecordWriter(&out, s, role, b)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range plain {
		if err := w.Write([]byte(p), i == len(plain)-1); err != nil {
			t.Fatal(err)
		}
		records = append(records, bytes.Clone(out.Bytes()))
		out.Reset()
	}
	return records
}

// replayed reads a stream of records to its end.
func replayed(t *testing.T, s *Secret, role Role, b Binding, stream []byte) (plain []string, err error) {
	t.Helper()
	r, err := NewRecordReader(iotest.OneByteReader(bytes.NewReader(stream)), s, role, b)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := r.Read()
		if err != nil {
			if _, again := r.Read(); !errors.Is(again, err) && !errors.Is(err, again) {
				t.Errorf("%v, and then %v", err, again)
			}
			return plain, err
		}
		plain = append(plain, string(p))
	}
}

func TestRecords(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), MaxRecord))
	for _, suite := range []Suite{AES128GCM, AES256GCM} {
		s, want := NewSecret(suite), []string{"", "a", long, "the end"}
		records := recorded(t, s, Initiator, testBinding(), want...)
		if n := len(records[2]); n != recordHeader+MaxRecord+recordTag {
			t.Errorf("a record of %d bytes", n)
		}
		got, err := replayed(t, s, Initiator, testBinding(), slices.Concat(records...))
		if !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
			t.Errorf("%d records, %v", len(got), err)
		}
	}
}

// TestRecordsVectors: an implementation of others writes the same bytes.
func TestRecordsVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/records.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Suite, Key, IV, Random, Role, Transfer, SID, Initiator, Responder, Offer, Accept, Bytestream, Stream string
		RecordsPerKey                                                                                        int
		Records                                                                                              []struct {
			Plaintext string
			Final     bool
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 3 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	raw := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, v := range vectors {
		suite := AES256GCM
		if v.Suite == AES128GCM.Name() {
			suite = AES128GCM
		}
		s, err := SecretFrom(suite, raw(v.Key), raw(v.IV))
		if err != nil {
			t.Fatal(err)
		}
		b := Binding{
			Random: [RandomSize]byte(raw(v.Random)), Transfer: v.Transfer, SID: v.SID, Initiator: v.Initiator, Responder: v.Responder,
			Offer: [32]byte(raw(v.Offer)), Accept: [32]byte(raw(v.Accept)), Bytestream: v.Bytestream,
		}
		var out bytes.Buffer
		w, err := NewRecordWriter(&out, s, Role(v.Role), b)
		if err != nil {
			t.Fatal(err)
		}
		if v.RecordsPerKey > 2 && w.chain.most != v.RecordsPerKey {
			t.Errorf("a key for %d records", w.chain.most)
		}
		w.chain.most = v.RecordsPerKey
		r, err := NewRecordReader(bytes.NewReader(raw(v.Stream)), s, Role(v.Role), b)
		if err != nil {
			t.Fatal(err)
		}
		r.chain.most = v.RecordsPerKey
		for i, rec := range v.Records {
			if err := w.Write(raw(rec.Plaintext), rec.Final); err != nil {
				t.Fatal(err)
			}
			if p, err := r.Read(); err != nil || hex.EncodeToString(p) != rec.Plaintext {
				t.Errorf("%s, record %d: %q, %v", v.Role, i, p, err)
			}
		}
		if got := hex.EncodeToString(out.Bytes()); got != v.Stream {
			t.Errorf("%s: %s", v.Role, got)
		}
		if _, err := r.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: at the end: %v", v.Role, err)
		}
	}
}

// TestRecordsAreBound: whatever is another one than it was written for does not open.
func TestRecordsAreBound(t *testing.T) {
	s := NewSecret(AES256GCM)
	stream := slices.Concat(recorded(t, s, Initiator, testBinding(), "one", "two")...)
	for name, change := range map[string]func(*Binding){
		"random":     func(b *Binding) { b.Random[31] = 1 },
		"transfer":   func(b *Binding) { b.Transfer, b.SID = "ts", "" },
		"sid":        func(b *Binding) { b.SID = "s2" },
		"initiator":  func(b *Binding) { b.Initiator += "2" },
		"responder":  func(b *Binding) { b.Responder = "juliet@capulet.example" },
		"offer":      func(b *Binding) { b.Offer[31] = 1 },
		"accept":     func(b *Binding) { b.Accept[0] = 0 },
		"bytestream": func(b *Binding) { b.Bytestream = "" },
	} {
		b := testBinding()
		change(&b)
		if got, err := replayed(t, s, Initiator, b, stream); !errors.Is(err, ErrAuthentication) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if other := slices.Concat(recorded(t, s, Initiator, b, "one", "two")...); bytes.Equal(other, stream) {
			t.Errorf("%s: the same key", name)
		}
	}
	if got, err := replayed(t, s, Responder, testBinding(), stream); !errors.Is(err, ErrAuthentication) || got != nil {
		t.Errorf("in the other direction: %q, %v", got, err)
	}
	if got, err := replayed(t, NewSecret(AES256GCM), Initiator, testBinding(), stream); !errors.Is(err, ErrAuthentication) || got != nil {
		t.Errorf("with another secret: %q, %v", got, err)
	}
}

// TestRecordsAttacked: a record cut, changed, swapped, left out or sent again.
func TestRecordsAttacked(t *testing.T) {
	s, plain := NewSecret(AES256GCM), []string{"one", "two", "", "four"}
	r := recorded(t, s, Responder, testBinding(), plain...)
	whole := slices.Concat(r...)
	check := func(what string, want error, stream ...[]byte) {
		t.Helper()
		got, err := replayed(t, s, Responder, testBinding(), slices.Concat(stream...))
		if !errors.Is(err, want) || len(got) > len(plain) || !slices.Equal(got, plain[:len(got)]) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	for i := range whole {
		check("cut", ErrCut, whole[:i])
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			got, err := replayed(t, s, Responder, testBinding(), b)
			if !errors.Is(err, ErrAuthentication) && !errors.Is(err, ErrCut) && !errors.Is(err, ErrRecord) || !slices.Equal(got, plain[:len(got)]) {
				t.Errorf("byte %d, bit %d: %q, %v", i, bit, got, err)
			}
		}
	}
	check("swapped", ErrAuthentication, r[1], r[0], r[2], r[3])
	check("left out", ErrAuthentication, r[0], r[2], r[3])
	check("twice", ErrAuthentication, r[0], r[0], r[1], r[2], r[3])
	check("only the end", ErrAuthentication, r[3])
	check("after the end", io.EOF, r[0], r[1], r[2], r[3], r[3])
	long := binary.BigEndian.AppendUint32(nil, MaxRecord+1)
	check("too long", ErrRecord, long, make([]byte, MaxRecord+1+recordTag))
}

// TestRecordsOnce: nothing is written twice under one key and nonce.
func TestRecordsOnce(t *testing.T) {
	s := NewSecret(AES256GCM)
	w, err := NewRecordWriter(io.Discard, s, Initiator, testBinding())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecordWriter(io.Discard, s, Initiator, testBinding()); !errors.Is(err, ErrReused) {
		t.Errorf("the same direction again: %v", err)
	}
	if _, err := NewEncrypter(io.Discard, s); !errors.Is(err, ErrReused) {
		t.Errorf("a stream under the secret: %v", err)
	}
	streamed := NewSecret(AES256GCM)
	if _, err := NewEncrypter(io.Discard, streamed); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecordWriter(io.Discard, streamed, Initiator, testBinding()); !errors.Is(err, ErrReused) {
		t.Errorf("records after a stream: %v", err)
	}
	b := testBinding()
	b.Random = NewRandom()
	if _, err := NewRecordWriter(io.Discard, s, Initiator, b); err != nil {
		t.Errorf("with another random: %v", err)
	}
	if err := w.Write(make([]byte, MaxRecord+1), false); !errors.Is(err, ErrRecord) {
		t.Errorf("too long: %v", err)
	}
	if err := errors.Join(w.Write(nil, false), w.Write(nil, true)); err != nil {
		t.Error(err)
	}
	if err := w.Write(nil, false); !errors.Is(err, ErrClosed) {
		t.Errorf("after the final one: %v", err)
	}
	w, err = NewRecordWriter(&brokenWriter{count: func(int) int { return 3 }, err: io.ErrClosedPipe}, s, Responder, testBinding())
	if err != nil {
		t.Fatal(err)
	}
	first := w.Write([]byte("x"), false)
	if again := w.Write([]byte("x"), false); first == nil || !errors.Is(again, first) {
		t.Errorf("%v, and then %v", first, again)
	}
	s.Wipe()
	if _, err := NewRecordReader(nil, s, Initiator, testBinding()); !errors.Is(err, ErrWiped) {
		t.Errorf("wiped: %v", err)
	}
}

func FuzzRecords(f *testing.F) {
	key := bytes.Repeat([]byte{7}, 32)
	secret := func(t testing.TB) *Secret {
		s, err := SecretFrom(AES256GCM, key, make([]byte, 12))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var out bytes.Buffer
	w, err := NewRecordWriter(&out, secret(f), Initiator, testBinding())
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(w.Write([]byte("hello"), false), w.Write(nil, true)); err != nil {
		f.Fatal(err)
	}
	genuine := bytes.Clone(out.Bytes())
	f.Add(genuine)
	f.Add([]byte{0x80, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewRecordReader(bytes.NewReader(b), secret(t), Initiator, testBinding())
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			p, err := r.Read()
			if err != nil {
				break
			}
			if want := []string{"hello", ""}[min(i, 1)]; i > 1 || string(p) != want || !bytes.HasPrefix(b, genuine[:recordHeader+5+recordTag]) {
				t.Fatalf("record %d: %q", i, p)
			}
		}
	})
}
