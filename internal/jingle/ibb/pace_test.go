package ibb

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// paced sends so many bytes over a stream that grows, and returns how long it took.
func paced(t *testing.T, a, b *wire, size int, reader func(io.Reader) io.Reader) (ca, cb *Conn, took time.Duration) {
	t.Helper()
	ca, cb = connect(t, a, b, Params{Grows: true})
	want, start := noise(3, size), time.Now()
	go func() { _ = sendAll(ca, want, rand.New(rand.NewPCG(3, 1))) }()
	got, err := io.ReadAll(reader(cb))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	return ca, cb, time.Since(start)
}

func asItComes(r io.Reader) io.Reader { return r }

// TestWindowGrows: on a long way a stream is several times as fast as with the window that it
// began with, and never has more on the way than a jetsend has room for.
func TestWindowGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, 50*time.Millisecond)
		const size = 4_000_000 // 977 blocks, 61 round trips of 16
		ca, cb, took := paced(t, a, b, size, asItComes)
		if trips := int(took / (100 * time.Millisecond)); trips > 12 {
			t.Errorf("%d round trips", trips)
		}
		if a.maxOpen <= maxWindow || a.maxOpen > maxGrown {
			t.Errorf("%d blocks were unanswered at once", a.maxOpen)
		}
		_, _ = ca.Close(), cb.Close()
	})
}

// slowly reads a little now and then.
type slowly struct {
	r io.Reader
	n int
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.n++; s.n%50 == 0 {
		time.Sleep(time.Second)
	}
	return s.r.Read(p[:min(len(p), 3000)])
}

// TestGrownWindowFits: a reader that is slow now and then gets no more than there is room for.
func TestGrownWindowFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, 50*time.Millisecond)
		ca, cb, _ := paced(t, a, b, 3_000_000, func(r io.Reader) io.Reader { return &slowly{r: r} })
		_, _ = ca.Close(), cb.Close()
	})
	for _, size := range []int{1, minBlockSize, DefaultBlockSize, 30_000, MaxBlockSize} {
		c := newConn(NewManager(Config{Port: &silent{}}), Params{Peer: romeo, Transport: Transport{"s", size}, Grows: true}, open)
		if n := c.out.most; n > maxGrown || n >= maxWithheld || n*size+ackBytes+size > maxBuffered {
			t.Errorf("%d blocks of %d bytes", n, size)
		}
		c.cancel()
	}
}

// TestWindowAtThrottle: where somebody lets only so much through, more on the way would only wait.
func TestWindowAtThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, 20*time.Millisecond)
		a.pause = 300 * time.Millisecond
		ca, cb, _ := paced(t, a, b, 400_000, asItComes)
		if a.maxOpen > maxWindow+2 {
			t.Errorf("%d blocks were unanswered at once", a.maxOpen)
		}
		_, _ = ca.Close(), cb.Close()
	})
}

// TestRefusedWindow: what a server refuses by its policy is sent again, less at a time from then on.
func TestRefusedWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, 50*time.Millisecond)
		refused, until := 0, time.Time{}
		a.mu.Lock()
		a.refuse = func(iq *xmltree.Element) *stanza.Error {
			if !iq.Children[0].Is(NS, "data") {
				return nil
			}
			if refused == 0 && iq.Children[0].Attr("seq") == "200" {
				until = time.Now().Add(time.Second)
			}
			if time.Now().Before(until) {
				refused++
				return &stanza.Error{Type: "modify", Condition: stanza.PolicyViolation}
			}
			return nil
		}
		a.mu.Unlock()
		ca, cb, _ := paced(t, a, b, 3_000_000, asItComes)
		ca.mu.Lock()
		if ca.out.most > maxGrown/2 || refused == 0 {
			t.Errorf("a window up to %d, after %d refusals", ca.out.most, refused)
		}
		ca.mu.Unlock()
		_, _ = ca.Close(), cb.Close()
	})
}
