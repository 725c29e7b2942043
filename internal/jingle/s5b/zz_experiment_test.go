package s5b

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"jetsend/internal/jid"
)

func expClients(t *testing.T) (a, b *client) {
	if os.Getenv("EJ") != "" {
		roots := x509.NewCertPool()
		pem, _ := os.ReadFile(os.Getenv("EJ_CA"))
		roots.AppendCertsFromPEM(pem)
		_ = tls.VersionTLS12
		a = logIn(t, os.Getenv("EJ"), roots, jid.MustParse("romeo@ej.test/orchard"), "romeopw")
		b = logIn(t, os.Getenv("EJ"), roots, jid.MustParse("juliet@ej.test/balcony"), "julietpw")
		return
	}
	_, a, b = prosody(t)
	return
}

func TestZZ(t *testing.T) {
	a, b := expClients(t)
	type dir struct{ name string; rev bool }
	for _, d := range []dir{{"owner->peer", false}, {"peer->owner", true}} {
		pair := func() (w, r *Conn) {
			x, y := through(t, a, b)
			if d.rev { return y, x }
			return x, y
		}
		// 1. forward data, half close, slow reader
		for _, size := range []int{1, 17, 5000, 300000, 4 << 20, 32<<20} {
			for _, delay := range []time.Duration{0, 1500 * time.Millisecond} {
				w, r := pair()
				data := bytes.Repeat([]byte("x"), size)
				begun := time.Now()
				res := make(chan string, 1)
				go func() {
					_, err := w.Write(data)
					e2 := w.CloseWrite()
					res <- fmt.Sprintf("write %v closewrite %v", err, e2)
				}()
				time.Sleep(delay)
				_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
				got, err := io.ReadAll(r)
				t.Logf("%s forward size %d delay %v: got %d (%v) err %v in %v; %s", d.name, size, delay, len(got), len(got) == size, err, time.Since(begun), <-res)
				// what does the writer see
				_ = w.SetReadDeadline(time.Now().Add(2 * time.Second))
				n, err := w.Read(make([]byte, 10))
				t.Logf("   writer read after its half-close: %d, %v", n, err)
				w.Close(); r.Close()
			}
		}
		// 2. after half-close, reverse data
		for _, wait := range []time.Duration{0, 300 * time.Millisecond} {
			w, r := pair()
			_, _ = w.Write([]byte("hello"))
			_ = w.CloseWrite()
			time.Sleep(wait)
			n, werr := r.Write([]byte("0123456789abcdef"))
			_ = w.SetReadDeadline(time.Now().Add(2 * time.Second))
			got, err := io.ReadAll(w)
			_ = r.SetReadDeadline(time.Now().Add(2 * time.Second))
			fw, ferr := io.ReadAll(r)
			t.Logf("%s reverse written %v after half-close: write %d %v; writer got %d %v; reader got %q %v", d.name, wait, n, werr, len(got), err, fw, ferr)
			w.Close(); r.Close()
		}
		// 3. Dino: reader writes 16 bytes at start; writer never reads; writer sends and half-closes
		for _, readBack := range []bool{false, true} {
			for _, size := range []int{17, 300000, 4 << 20} {
				w, r := pair()
				_, _ = r.Write([]byte("0123456789abcdef"))
				back := make(chan int, 1)
				if readBack {
					go func() { n, _ := io.Copy(io.Discard, w); back <- int(n) }()
				}
				_, werr := w.Write(bytes.Repeat([]byte("x"), size))
				cerr := w.CloseWrite()
				_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
				got, err := io.ReadAll(r)
				s := ""
				if readBack { s = fmt.Sprint(<-back) }
				t.Logf("%s dino size %d, readback %v %s: write %v %v got %d (%v) %v", d.name, size, readBack, s, werr, cerr, len(got), len(got) == size, err)
				w.Close(); r.Close()
			}
		}
		// 4. reverse bulk in flight when writer half-closes: reader keeps writing
		{
			w, r := pair()
			stop := make(chan int64, 1)
			go func() { n, _ := io.Copy(r.Conn.(io.Writer), bytes.NewReader(make([]byte, 8<<20))); stop <- n }()
			const size = 1 << 20
			_, werr := w.Write(bytes.Repeat([]byte("x"), size))
			cerr := w.CloseWrite()
			_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
			got, err := io.ReadAll(r)
			_ = w.SetReadDeadline(time.Now().Add(10 * time.Second))
			back, berr := io.ReadAll(w)
			t.Logf("%s both ways: %v %v; reader got %d (%v) %v; reader wrote %d of 8M, writer got %d %v", d.name, werr, cerr, len(got), len(got) == size, err, <-stop, len(back), berr)
			w.Close(); r.Close()
		}
		// 5. full close by writer right after data, slow reader
		for _, size := range []int{17, 4 << 20} {
			w, r := pair()
			done := make(chan error, 1)
			go func() { _, e := w.Write(bytes.Repeat([]byte("x"), size)); w.Close(); done <- e }()
			time.Sleep(time.Second)
			_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
			got, err := io.ReadAll(r)
			t.Logf("%s full close size %d: got %d (%v) %v; %v", d.name, size, len(got), len(got) == size, err, <-done)
			r.Close()
		}
	}
}
