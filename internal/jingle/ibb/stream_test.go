package ibb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

var testTime = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// noise returns n bytes that are the same for the same seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte{seed})).Read(b)
	return b
}

// sendAll writes b in pieces of any size and ends the stream.
func sendAll(c *Conn, b []byte, r *rand.Rand) error {
	for len(b) > 0 {
		n := 1 + r.IntN(min(len(b), 3*c.BlockSize()))
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return c.CloseWrite()
}

// TestTransfer moves data both ways at once, in random pieces, over all sorts of streams.
func TestTransfer(t *testing.T) {
	for i, x := range []struct {
		block, window, there, back int
		latency                    time.Duration
	}{
		{4096, 0, 300_000, 100_000, 20 * time.Millisecond},
		{65535, 0, 2_000_000, 0, time.Millisecond},
		{1, 1, 100, 100, time.Millisecond},
		{7, 3, 5000, 3000, 0},
		{256, 16, 0, 65_536, 5 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newWires(t, x.latency)
			p := Params{Transport: Transport{BlockSize: x.block}, Window: x.window}
			ca, cb := connect(t, a, b, p)
			exchange(t, ca, cb, noise(byte(i), x.there), noise(byte(i+100), x.back), uint64(i))
			if a.maxOpen > max(x.window, 1) && x.window != 0 || a.maxOpen > maxWindow {
				t.Errorf("stream %d: %d blocks were unanswered at once", i, a.maxOpen)
			}
			if _, err := ca.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("stream %d: after the end: %v", i, err)
			}
			if err := cb.CloseWrite(); err != nil {
				t.Errorf("stream %d: end of the other side: %v", i, err)
			}
			_, _ = ca.Close(), cb.Close()
			synctest.Wait()
			if n := a.unanswered() + b.unanswered(); n != 0 {
				t.Errorf("stream %d: %d requests are still waited for", i, n)
			}
		})
	}
}

// exchange sends there from ca to cb, and back the other way in the middle of
// it: our <close/> would end both directions.
func exchange(t *testing.T, ca, cb *Conn, there, back []byte, seed uint64) {
	t.Helper()
	got := make([]byte, len(back))
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := cb.Write(back); err != nil {
			t.Errorf("write back: %v", err)
		}
	})
	wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, 1))
		if _, err := ca.Write(there[:len(there)/2]); err != nil {
			t.Errorf("write: %v", err)
		}
		if _, err := io.ReadFull(ca, got); err != nil {
			t.Errorf("read back: %v", err)
		}
		if err := sendAll(ca, there[len(there)/2:], r); err != nil {
			t.Errorf("send: %v", err)
		}
	})
	all, err := io.ReadAll(readInPieces{cb, rand.New(rand.NewPCG(seed, 2))})
	if err != nil {
		t.Errorf("read: %v", err)
	}
	wg.Wait()
	if !bytes.Equal(all, there) || !bytes.Equal(got, back) {
		t.Errorf("stream %d: the data is not the same", seed)
	}
}

type readInPieces struct {
	r    io.Reader
	rand *rand.Rand
}

func (r readInPieces) Read(p []byte) (int, error) {
	return r.r.Read(p[:1+r.rand.IntN(len(p))])
}

// TestWindow: with a window a stream is that many times as fast, and full
// blocks are sent whatever the pieces.
func TestWindow(t *testing.T) {
	const latency, blocks = 50 * time.Millisecond, 64
	for _, window := range []int{1, 4, 16} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newWires(t, latency)
			a.record()
			ca, cb := connect(t, a, b, Params{Transport: Transport{BlockSize: 1000}, Window: window})
			go func() { _, _ = io.Copy(io.Discard, cb) }()
			start := time.Now()
			for range blocks * 10 {
				if _, err := ca.Write(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
			}
			if err := ca.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			// The clock is the bubble's. The first block goes alone and small.
			trips := int(time.Since(start) / (2 * latency))
			if want := (blocks + window) / window; trips < want-1 || trips > want+2 {
				t.Errorf("window %d: %d round trips for %d blocks", window, trips, blocks)
			}
			if n := a.names()["data"]; n > blocks+2 {
				t.Errorf("window %d: %d blocks for the data of %d", window, n, blocks)
			}
			if a.maxOpen != window {
				t.Errorf("window %d: %d blocks unanswered at most", window, a.maxOpen)
			}
			_ = cb.Close()
		})
	}
}

func TestWindowOfLargeBlocks(t *testing.T) {
	c := newConn(NewManager(Config{Port: &silent{}}), Params{Peer: romeo, Transport: Transport{"s", MaxBlockSize}}, open)
	defer c.cancel()
	if c.out.window != windowBytes/MaxBlockSize || c.out.room() > windowBytes+MaxBlockSize {
		t.Errorf("window %d, buffer %d", c.out.window, c.out.room())
	}
}

// TestBackPressure: a reader that does not read stops the sender, not the
// stream, and not another bytestream on it.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, time.Millisecond)
		ca, cb := connect(t, a, b, Params{})
		want := noise(1, 1<<20)
		sent := make(chan error, 1)
		go func() { sent <- sendAll(ca, want, rand.New(rand.NewPCG(1, 1))) }()
		time.Sleep(time.Hour)
		limit := ackBytes + maxWindow*DefaultBlockSize
		cb.mu.Lock()
		buffered, withheld := cb.in.buf.Len(), len(cb.in.withheld)
		cb.mu.Unlock()
		if buffered < ackBytes || buffered > limit || withheld != maxWindow {
			t.Errorf("%d bytes are buffered, %d acknowledgements withheld", buffered, withheld)
		}
		select {
		case err := <-sent:
			t.Fatalf("the sender was not stopped: %v", err)
		default:
		}
		// The dispatcher goes on: a second stream works.
		c2, d2 := connect(t, a, b, Params{Transport: Transport{SID: "s2"}})
		other := noise(2, 50_000)
		go func() { _ = sendAll(c2, other, rand.New(rand.NewPCG(2, 1))) }()
		if got, err := io.ReadAll(d2); err != nil || !bytes.Equal(got, other) {
			t.Errorf("second stream: %d bytes, %v", len(got), err)
		}
		got, err := io.ReadAll(cb)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		_, _, _ = ca.Close(), c2.Close(), d2.Close()
	})
}

// TestWrap sends more blocks than there are numbers.
func TestWrap(t *testing.T) {
	if testing.Short() {
		t.Skip("131,000 stanzas")
	}
	for _, libervia := range []bool{false, true} {
		a, b := newWires(t, 0)
		ca, cb := connect(t, a, b, Params{Transport: Transport{BlockSize: 1}, Modulo65535: libervia})
		want := noise(1, 65_800)
		go func() { _ = sendAll(ca, want, rand.New(rand.NewPCG(1, 1))) }()
		if got, err := io.ReadAll(cb); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		_, _ = ca.Close(), cb.Close()
	}
}

// TestSmallerBlocks: a responder that finds blocks too large is offered smaller ones.
func TestSmallerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, time.Millisecond)
		a.record()
		e, err := b.m.Expect(Params{Peer: a.self, Transport: Transport{"s", 1100}})
		if err != nil {
			t.Fatal(err)
		}
		ca, err := a.m.Open(t.Context(), Params{Peer: b.self, Transport: Transport{"s", 8192}})
		if err != nil {
			t.Fatal(err)
		}
		cb, err := e.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ca.BlockSize() != 1024 || cb.BlockSize() != 1024 || a.names()["open"] != 4 {
			t.Errorf("block sizes %d and %d after %v", ca.BlockSize(), cb.BlockSize(), a.names())
		}
		go func() { _ = ca.CloseWrite() }()
		_, _ = io.ReadAll(cb)
	})
}

func TestOpenFails(t *testing.T) {
	for name, x := range map[string]struct {
		answer *stanza.Error
		opens  int
		closes int
	}{
		"refused":      {stanza.NewError(stanza.NotAcceptable), 1, 0},
		"unavailable":  {stanza.NewError(stanza.ServiceUnavailable), 1, 0},
		"always small": {stanza.NewError(stanza.ResourceConstraint), 5, 0},
		"no answer":    {nil, 1, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newWires(t, time.Millisecond)
			a.record()
			if x.answer != nil {
				a.setRefuse(func(*xmltree.Element) *stanza.Error { return x.answer })
			} else {
				close(b.done) // nobody there
				b.wg.Wait()
				b.done = make(chan struct{})
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := a.m.Open(ctx, Params{Peer: b.self, Transport: Transport{"s", 4096}})
			var se *stanza.Error
			if x.answer != nil && (!errors.As(err, &se) || se.Condition != x.answer.Condition) ||
				x.answer == nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			time.Sleep(time.Second)
			if n := a.names(); n["open"] != x.opens || n["close"] != x.closes || len(a.m.streams) != 0 {
				t.Errorf("%s: sent %v, %d streams left", name, n, len(a.m.streams))
			}
			if a.unanswered() != 0 {
				t.Errorf("%s: %d requests are still waited for", name, a.unanswered())
			}
		})
	}
}

// TestRetry: a server that refuses for a while, as with rate limits.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, 10*time.Millisecond)
		ca, cb := connect(t, a, b, Params{})
		a.record()
		from := time.Now()
		n := 0
		a.setRefuse(func(iq *xmltree.Element) *stanza.Error {
			if iq.Child(NS, "data") == nil {
				return nil
			}
			if n++; n > 20 && time.Since(from) < 5*time.Second {
				return stanza.NewError(stanza.ResourceConstraint)
			}
			return nil
		})
		want := noise(3, 400_000)
		sent := make(chan error, 1)
		go func() { sent <- sendAll(ca, want, rand.New(rand.NewPCG(1, 1))) }()
		got, err := io.ReadAll(cb)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		ca.mu.Lock()
		if ca.out.window >= maxWindow || ca.out.size >= DefaultBlockSize || ca.out.size < minBlockSize {
			t.Errorf("window %d, blocks of %d", ca.out.window, ca.out.size)
		}
		ca.mu.Unlock()
		_, _ = ca.Close(), cb.Close()
	})
}

// One that cannot cope now and then, but gets on in between, is not given up,
// however often.
func TestRetryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, 10*time.Millisecond)
		ca, cb := connect(t, a, b, Params{})
		from := time.Now()
		a.setRefuse(func(iq *xmltree.Element) *stanza.Error {
			if iq.Child(NS, "data") != nil && time.Since(from)%(3*time.Second) > 2*time.Second {
				return &stanza.Error{Type: "wait", Condition: "remote-server-timeout"}
			}
			return nil
		})
		want := noise(4, 300_000)
		sent := make(chan error, 1)
		go func() {
			for rest := want; len(rest) > 0; rest = rest[1000:] {
				if _, err := ca.Write(rest[:1000]); err != nil {
					_ = ca.Close()
					sent <- err
					return
				}
				time.Sleep(100 * time.Millisecond) // for 30 seconds in all
			}
			sent <- ca.CloseWrite()
		}()
		got, err := io.ReadAll(cb)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		_, _ = ca.Close(), cb.Close()
	})
}

// TestRefused: what a refused block does to the stream.
func TestRefused(t *testing.T) {
	wait := &stanza.Error{Type: "wait", Condition: "remote-server-timeout"}
	for name, x := range map[string]struct {
		refuse func(n int) *stanza.Error // n counts blocks
		is     error
		cond   string
	}{
		"for ever":     {func(n int) *stanza.Error { return wait }, ErrBroken, wait.Condition},
		"from the 5th": {func(n int) *stanza.Error { return map[bool]*stanza.Error{true: wait}[n >= 5] }, ErrBroken, wait.Condition},
		"one of them":  {func(n int) *stanza.Error { return map[bool]*stanza.Error{true: wait}[n == 2] }, ErrBroken, ""},
		"gone": {func(n int) *stanza.Error {
			return map[bool]*stanza.Error{true: cancelError(stanza.ItemNotFound)}[n == 3]
		}, ErrBroken, stanza.ItemNotFound},
		"not for users": {func(n int) *stanza.Error { return stanza.NewError(stanza.ServiceUnavailable) }, ErrBroken, stanza.ServiceUnavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newWires(t, 10*time.Millisecond)
			ca, cb := connect(t, a, b, Params{})
			a.record()
			n := 0
			a.setRefuse(func(iq *xmltree.Element) *stanza.Error {
				if iq.Child(NS, "data") == nil {
					return nil
				}
				n++
				return x.refuse(n)
			})
			err := sendAll(ca, noise(1, 200_000), rand.New(rand.NewPCG(1, 1)))
			var se *stanza.Error
			if !errors.Is(err, x.is) || x.cond != "" && (!errors.As(err, &se) || se.Condition != x.cond) {
				t.Errorf("%s: %v", name, err)
			}
			if _, rerr := ca.Read(make([]byte, 1)); !errors.Is(rerr, ErrBroken) {
				t.Errorf("%s: read: %v", name, rerr)
			}
			_ = ca.Close()
			_ = cb.Close()
			synctest.Wait()
			time.Sleep(time.Second)
			if c := a.names()["close"]; c != 1 {
				t.Errorf("%s: %d times closed", name, c)
			}
			if a.unanswered() != 0 {
				t.Errorf("%s: %d requests are still waited for", name, a.unanswered())
			}
		})
	}
}
