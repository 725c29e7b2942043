package crypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// randomBytes gives n bytes of r.
func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// mustBlock is the block cipher of a key.
func mustBlock(t testing.TB, key []byte) cipher.Block {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	return block
}

// oneShot is what the standard library makes of the whole.
func oneShot(t testing.TB, key, iv, data []byte) []byte {
	t.Helper()
	aead, err := cipher.NewGCMWithNonceSize(mustBlock(t, key), len(iv))
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(nil, iv, data, nil)
}

// ivFor solves J0 = (IV·H ⊕ L)·H for an IV of 16 bytes.
func ivFor(t testing.TB, key []byte, j0 [16]byte) []byte {
	t.Helper()
	var b [16]byte
	mustBlock(t, key).Encrypt(b[:], b[:])
	divisor := inverse(load(b[:]))
	load(j0[:]).mul(divisor).add(lengths(0, 16)).mul(divisor).store(b[:])
	return b[:]
}

// ivBeforeWrap is an IV of 16 bytes after whose J0 n counter blocks follow
// before the 32-bit counter is 0.
func ivBeforeWrap(t testing.TB, r *rand.Rand, key []byte, n uint32) []byte {
	j0 := [16]byte(randomBytes(r, 16))
	binary.BigEndian.PutUint32(j0[12:], 0xffffffff-n)
	return ivFor(t, key, j0)
}

// nextPiece draws a piece size: often a tiny one, sometimes a large one.
func nextPiece(r *rand.Rand) int {
	switch r.IntN(4) {
	case 0:
		return r.IntN(40)
	case 1:
		return 16 * r.IntN(100)
	case 2:
		return r.IntN(runSize + runSize/4)
	default:
		return []int{runSize - 1, runSize, runSize + 1, bufferSize, bufferSize + 1}[r.IntN(5)]
	}
}

// checkStream compares Encrypter and Decrypter with the one-shot GCM, in pieces
// of the sizes that piece gives.
func checkStream(t testing.TB, key, iv, data []byte, piece func() int) {
	t.Helper()
	want := oneShot(t, key, iv, data)
	var wire bytes.Buffer
	e, err := NewEncrypter(&wire, mustSecret(t, key, iv))
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(data)
	for rest := data; len(rest) > 0; {
		n := min(piece(), len(rest))
		if m, err := e.Write(rest[:n]); m != n || err != nil {
			t.Fatalf("write of %d bytes: %d, %v", n, m, err)
		}
		rest = rest[n:]
		if written := len(data) - len(rest); wire.Len() != written {
			t.Fatalf("%d bytes on the wire after %d were written", wire.Len(), written)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, before) {
		t.Fatal("Write changed its argument")
	}
	if !bytes.Equal(wire.Bytes(), want) {
		t.Fatalf("encryption of %d bytes differs from one-shot GCM", len(data))
	}
	d, err := NewDecrypter(&wire, mustSecret(t, key, iv), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, bufferSize+1)
	for {
		n, err := d.Read(buf[:min(piece(), len(buf))])
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("after %d bytes: %v", len(got), err)
		}
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("decryption of %d bytes gave something else", len(data))
	}
}

func TestStreamEqualsOneShot(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	data := randomBytes(r, 3*bufferSize)
	for i := range 300 {
		key := randomBytes(r, 16+16*(i%2))
		iv := randomBytes(r, 12+4*(i/2%2))
		size := r.IntN(2000)
		switch i % 10 {
		case 0:
			size = r.IntN(len(data))
		case 1:
			size = min(len(data), r.IntN(5)*runSize+r.IntN(35))
		}
		checkStream(t, key, iv, data[:size], func() int { return nextPiece(r) })
	}
}

// Sizes at which something begins or ends, written whole.
func TestStreamBoundaries(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	data := randomBytes(r, 2*bufferSize+17)
	key, iv := randomBytes(r, 32), randomBytes(r, 12)
	for _, edge := range []int{0, 16, 32, runSize, 2 * runSize, bufferSize, 2 * bufferSize} {
		for _, off := range []int{-17, -16, -15, -1, 0, 1, 15, 16, 17} {
			if size := edge + off; size >= 0 {
				checkStream(t, key, iv, data[:size], func() int { return 4 * bufferSize })
			}
		}
	}
}

// The 32-bit counter wraps while the upper 96 bits of J0 stay, wherever in a
// piece, a run or a block the wrap falls.
func TestCounterWrap(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	data := randomBytes(r, bufferSize+100)
	for i := range 200 {
		key := randomBytes(r, 16+16*(i%2))
		blocks := uint32(i % 40)
		size := int(blocks)*16 + r.IntN(100)
		if i%10 == 0 {
			blocks = uint32(r.IntN(bufferSize / 16))
			size = len(data)
		}
		checkStream(t, key, ivBeforeWrap(t, r, key, blocks), data[:size], func() int { return nextPiece(r) })
	}
	// Upper bits of ones: a carry out of the low word would be seen at the top.
	j0 := [16]byte(bytes.Repeat([]byte{0xff}, 16))
	key := randomBytes(r, 32)
	checkStream(t, key, ivFor(t, key, j0), data[:1000], func() int { return 7 })
}

// keystreamAt is one block of keystream, by SP 800-38D and nothing of ours.
func keystreamAt(t *testing.T, key, iv []byte, index uint32) []byte {
	t.Helper()
	var b [16]byte
	if len(iv) == 12 {
		copy(b[:], iv)
		b[15] = 1
	} else {
		h := make([]byte, 16)
		block := mustBlock(t, key)
		block.Encrypt(h, h)
		load(iv).mul(load(h)).add(lengths(0, 16)).mul(load(h)).store(b[:])
	}
	binary.BigEndian.PutUint32(b[12:], binary.BigEndian.Uint32(b[12:])+1+index)
	mustBlock(t, key).Encrypt(b[:], b[:])
	return b[:]
}

// nearLimit is how many blocks the tests below have left under the limit.
const (
	nearLimit = 4
	farBlocks = 1<<32 - 2 - nearLimit
)

// skip moves the start of a new stream on by some blocks, as if they had been
// processed, but leaves them out of the hash. Tests begin near the limit by it.
func (s *stream) skip(blocks uint32) {
	s.startAt(binary.BigEndian.Uint32(s.counter[shortIV:]) + blocks)
	s.left -= uint64(blocks) * blockSize
}

// nearLimitEncrypter begins four blocks before the limit.
func nearLimitEncrypter(t *testing.T, w io.Writer, s *Secret) *Encrypter {
	t.Helper()
	e, err := NewEncrypter(w, s)
	if err != nil {
		t.Fatal(err)
	}
	e.stream.skip(farBlocks)
	return e
}

func TestLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, ivSize := range []int{12, 16} {
		key, iv := randomBytes(r, 32), randomBytes(r, ivSize)
		var wire bytes.Buffer
		e := nearLimitEncrypter(t, &wire, mustSecret(t, key, iv))
		plaintext := make([]byte, nearLimit*16)
		for _, n := range []int{1, 31, 32} {
			if _, err := e.Write(plaintext[:n]); err != nil {
				t.Fatal(err)
			}
		}
		var want []byte
		for i := range uint32(nearLimit) {
			want = append(want, keystreamAt(t, key, iv, farBlocks+i)...)
		}
		if !bytes.Equal(wire.Bytes(), want) {
			t.Errorf("IV of %d: the last blocks have another keystream", ivSize)
		}
		if err := e.Close(); err != nil {
			t.Fatalf("Close at the limit: %v", err)
		}
		d, err := NewDecrypter(&wire, mustSecret(t, key, iv), int64(len(plaintext)))
		if err != nil {
			t.Fatal(err)
		}
		d.stream.skip(farBlocks)
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("IV of %d: read %x, %v", ivSize, got, err)
		}
	}
}

func TestBeyondLimit(t *testing.T) {
	for _, tt := range []struct{ before, n int }{{0, 65}, {60, 5}, {64, 1}, {64, 1 << 20}} {
		var wire bytes.Buffer
		e := nearLimitEncrypter(t, &wire, NewSecret(AES256GCM))
		if _, err := e.Write(make([]byte, tt.before)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if n, err := e.Write(make([]byte, tt.n)); n != 0 || !errors.Is(err, ErrTooLong) {
				t.Errorf("%d after %d: %d, %v", tt.n, tt.before, n, err)
			}
		}
		if err := e.Close(); !errors.Is(err, ErrTooLong) {
			t.Errorf("Close: %v", err)
		}
		if wire.Len() != tt.before {
			t.Errorf("%d bytes were written, want %d and no tag", wire.Len(), tt.before)
		}
	}
	if MaxPlaintext != 64<<30-32 {
		t.Errorf("limit %d", int64(MaxPlaintext))
	}
	s := NewSecret(AES256GCM)
	if _, err := NewDecrypter(bytes.NewReader(nil), s, MaxPlaintext); err != nil {
		t.Errorf("decrypter at the limit: %v", err)
	}
	if _, err := NewDecrypter(bytes.NewReader(nil), s, MaxPlaintext+1); !errors.Is(err, ErrTooLong) {
		t.Errorf("decrypter beyond the limit: %v", err)
	}
	if _, err := NewDecrypter(bytes.NewReader(nil), s, -1); err == nil {
		t.Error("decrypter of a negative size")
	}
}

func TestNoAllocations(t *testing.T) {
	for _, size := range []int{1, 16, 1000, runSize, bufferSize, bufferSize + 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			buf := make([]byte, size)
			e, err := NewEncrypter(io.Discard, NewSecret(AES256GCM))
			if err != nil {
				t.Fatal(err)
			}
			d, err := NewDecrypter(instantReader{}, NewSecret(AES256GCM), MaxPlaintext)
			if err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(20, func() { _, _ = e.Write(buf) }); n != 0 {
				t.Errorf("Write allocates %v times", n)
			}
			if n := testing.AllocsPerRun(20, func() { _, _ = d.Read(buf) }); n != 0 {
				t.Errorf("Read allocates %v times", n)
			}
		})
	}
}

// FuzzStream compares with one-shot GCM. split seeds the sizes of the pieces;
// when it is odd an IV of 16 bytes is taken as the J0 to have, so that any
// counter can be reached.
func FuzzStream(f *testing.F) {
	f.Add([]byte("k"), []byte("iv"), []byte("data"), uint64(0))
	f.Add(make([]byte, 32), bytes.Repeat([]byte{0xff}, 16), make([]byte, 100), uint64(1))
	f.Add(make([]byte, 16), make([]byte, 16), make([]byte, 2*runSize+3), uint64(2))
	f.Fuzz(func(t *testing.T, key, iv, data []byte, split uint64) {
		k := make([]byte, 16)
		if len(key) > 16 {
			k = make([]byte, 32)
		}
		copy(k, key)
		v := make([]byte, 12)
		if len(iv) > 12 {
			v = make([]byte, 16)
		}
		copy(v, iv)
		if len(v) == 16 && split%2 == 1 {
			v = ivFor(t, k, [16]byte(v))
		}
		r := rand.New(rand.NewPCG(split, 0))
		checkStream(t, k, v, data, func() int { return nextPiece(r) })
	})
}
