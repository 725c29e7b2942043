package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"testing"
	"time"
)

// The benchmarks measure the stream and the one-shot AEAD by turns in the same
// run, so that whatever else the machine does meets both, and report their own
// speed, the one-shot's, and the ratio of the two (1 is as fast as one-shot).
// ns/op is that of the stream alone.
const (
	benchWrite = 256 << 10
	benchTurn  = 16 // writes in a row, then as many one-shot calls
)

// benchStream benchmarks step, which handles benchWrite bytes, against oneShot.
// renew is called untimed, before a stream reaches its limit.
func benchStream(b *testing.B, renew, step, oneShot func()) {
	const perStream = MaxPlaintext / (benchWrite * benchTurn)
	var stream, reference time.Duration
	renew()
	step()
	oneShot()
	b.ReportAllocs()
	turns := 0
	for b.Loop() {
		turns++
		if turns%perStream == 0 {
			b.StopTimer()
			renew()
			b.StartTimer()
		}
		start := time.Now()
		for range benchTurn {
			step()
		}
		middle := time.Now()
		for range benchTurn {
			oneShot()
		}
		stream += middle.Sub(start)
		reference += time.Since(middle)
	}
	n := float64(turns) * benchTurn
	speed := func(d time.Duration) float64 { return n * benchWrite / 1e6 / d.Seconds() }
	b.ReportMetric(float64(stream.Nanoseconds())/n, "ns/op")
	b.ReportMetric(speed(stream), "MB/s")
	b.ReportMetric(speed(reference), "oneshot-MB/s")
	b.ReportMetric(speed(stream)/speed(reference), "ratio")
}

// benchSuites runs f for both suites with the suite's one-shot GCM.
func benchSuites(b *testing.B, f func(b *testing.B, s Suite, aead cipher.AEAD)) {
	for _, s := range []Suite{AES128GCM, AES256GCM} {
		b.Run(s.Name(), func(b *testing.B) {
			block, err := aes.NewCipher(make([]byte, s.KeySize()))
			if err != nil {
				b.Fatal(err)
			}
			aead, err := cipher.NewGCM(block)
			if err != nil {
				b.Fatal(err)
			}
			f(b, s, aead)
		})
	}
}

func BenchmarkEncrypter(b *testing.B) {
	benchSuites(b, func(b *testing.B, s Suite, aead cipher.AEAD) {
		plaintext := make([]byte, benchWrite)
		nonce := make([]byte, shortIV)
		sealed := make([]byte, 0, benchWrite+TagSize)
		var e *Encrypter
		benchStream(b, func() {
			var err error
			if e, err = NewEncrypter(io.Discard, NewSecret(s)); err != nil {
				b.Fatal(err)
			}
		}, func() {
			if _, err := e.Write(plaintext); err != nil {
				b.Fatal(err)
			}
		}, func() {
			aead.Seal(sealed, nonce, plaintext, nil)
		})
	})
}

func BenchmarkDecrypter(b *testing.B) {
	benchSuites(b, func(b *testing.B, s Suite, aead cipher.AEAD) {
		plaintext := make([]byte, benchWrite)
		nonce := make([]byte, shortIV)
		sealed := aead.Seal(nil, nonce, plaintext, nil)
		buf := make([]byte, benchWrite)
		var d *Decrypter
		benchStream(b, func() {
			var err error
			if d, err = NewDecrypter(instantReader{}, NewSecret(s), MaxPlaintext); err != nil {
				b.Fatal(err)
			}
		}, func() {
			if n, err := d.Read(buf); n != benchWrite || err != nil {
				b.Fatal(n, err)
			}
		}, func() {
			if _, err := aead.Open(plaintext[:0], nonce, sealed, nil); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkEncrypterSizes shows what smaller and odd pieces cost.
func BenchmarkEncrypterSizes(b *testing.B) {
	for _, size := range []int{16, 1000, 32 << 10, 100_003} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			plaintext := make([]byte, size)
			var e *Encrypter
			var used int64
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if used -= int64(size); used < 0 {
					used = MaxPlaintext - int64(size)
					e, _ = NewEncrypter(io.Discard, NewSecret(AES256GCM))
				}
				if _, err := e.Write(plaintext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// instantReader fills p in no time, with whatever is there.
type instantReader struct{}

func (instantReader) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkField(b *testing.B) {
	x, y := element{1, 2}, element{3, 4}
	b.Run("mul", func(b *testing.B) {
		for b.Loop() {
			x = x.mul(y)
		}
	})
	b.Run("multiplier", func(b *testing.B) {
		m := new(multiplier)
		m.set(y)
		for b.Loop() {
			x = m.mul(x)
		}
	})
}
