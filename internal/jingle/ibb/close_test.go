package ibb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, time.Millisecond)
		ca, cb := connect(t, a, b, Params{})
		start := time.Now()
		_ = cb.SetReadDeadline(start.Add(time.Minute))
		_, err := cb.Read(make([]byte, 1))
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		// Moved while somebody waits, and taken away again.
		start = time.Now()
		_ = cb.SetDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Second, func() { _ = cb.SetReadDeadline(time.Now().Add(time.Second)) })
		if _, err = cb.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("moved: %v after %v", err, time.Since(start))
		}
		_ = cb.SetDeadline(time.Time{})
		// The other side does not read.
		_ = ca.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := ca.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n < ackBytes || n >= 1<<20 {
			t.Errorf("write: %d, %v", n, err)
		}
		_ = ca.SetWriteDeadline(time.Now().Add(time.Minute))
		if err := ca.CloseWrite(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("end: %v", err)
		}
		_ = ca.SetWriteDeadline(time.Time{})
		// A timeout breaks nothing.
		go func() { _ = ca.CloseWrite() }()
		if got, err := io.Copy(io.Discard, cb); err != nil || got != int64(n) {
			t.Errorf("%d of %d bytes, %v", got, n, err)
		}
		_, _ = ca.Close(), cb.Close()
	})
}

// TestPeerCloses: a receiver that has enough.
func TestPeerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, time.Millisecond)
		ca, cb := connect(t, a, b, Params{})
		sent := make(chan error, 1)
		go func() { sent <- sendAll(ca, noise(1, 1<<20), rand.New(rand.NewPCG(1, 1))) }()
		if _, err := io.ReadFull(cb, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		_ = cb.Close()
		if err := <-sent; !errors.Is(err, ErrPeerClosed) && !errors.Is(err, ErrBroken) {
			t.Errorf("write: %v", err)
		}
		if err := ca.CloseWrite(); err == nil {
			t.Error("what the peer did not take counts as sent")
		}
		// Its close and its refusal of the blocks on the way may come in either order.
		if _, err := ca.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, ErrBroken) {
			t.Errorf("read: %v", err)
		}
		_ = ca.Close()
	})
}

// TestReceiverClosesAtTheEnd: Conversations closes as soon as it has counted
// the last byte, before we did.
func TestReceiverClosesAtTheEnd(t *testing.T) {
	for _, size := range []int{0, 1, 4096, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newWires(t, time.Millisecond)
			ca, cb := connect(t, a, b, Params{})
			a.record()
			b.record()
			want := noise(1, size)
			if _, err := ca.Write(want); err != nil && size < 4096 {
				t.Fatal(err)
			}
			got := make([]byte, size)
			if _, err := io.ReadFull(cb, got); err != nil || !bytes.Equal(got, want) {
				t.Fatal(err)
			}
			_ = cb.Close()
			time.Sleep(time.Second)
			if err := ca.CloseWrite(); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			_ = ca.Close()
			synctest.Wait()
			time.Sleep(time.Second)
			if a.names()["close"] != 0 || b.names()["close"] != 1 {
				t.Errorf("closes: %d and %d", a.names()["close"], b.names()["close"])
			}
		})
	}
}

// TestCloseRaces closes from both sides at any moment. Nothing hangs, nothing is left.
func TestCloseRaces(t *testing.T) {
	for i := range 60 {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			a, b := newWires(t, time.Duration(r.IntN(5))*time.Millisecond)
			ca, cb := connect(t, a, b, Params{Transport: Transport{BlockSize: 512}})
			want := noise(byte(i), 200_000)
			var sendErr error
			var got []byte
			var wg sync.WaitGroup
			s := rand.New(rand.NewPCG(uint64(i), 1))
			wg.Go(func() { sendErr = sendAll(ca, want, s) })
			wg.Go(func() { got, _ = io.ReadAll(cb) })
			wg.Go(func() { _, _ = io.ReadAll(ca) })
			for range 3 {
				c := []*Conn{ca, cb}[r.IntN(2)]
				half := r.IntN(3) == 0
				after := time.Duration(r.IntN(60)) * time.Millisecond
				wg.Go(func() {
					time.Sleep(after)
					if half {
						_ = c.CloseWrite()
						return
					}
					_ = c.Close()
				})
			}
			time.Sleep(time.Minute)
			_, _ = ca.Close(), cb.Close()
			wg.Wait()
			if !bytes.HasPrefix(want, got) {
				t.Error("the data is not the same")
			}
			if sendErr == nil && len(got) != len(want) {
				t.Errorf("%d of %d bytes arrived, and the sender says it was well", len(got), len(want))
			}
			synctest.Wait()
			time.Sleep(time.Second)
			if a.unanswered()+b.unanswered() != 0 || len(a.m.streams)+len(b.m.streams) != 0 {
				t.Errorf("left: %d %d requests, %d %d streams", a.unanswered(), b.unanswered(), len(a.m.streams), len(b.m.streams))
			}
		})
	}
}

// TestStreamLost: the XMPP stream ends while blocks are on the way.
func TestStreamLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, time.Millisecond)
		ca, cb := connect(t, a, b, Params{})
		sent := make(chan error, 1)
		go func() { sent <- sendAll(ca, noise(1, 1<<20), rand.New(rand.NewPCG(1, 1))) }()
		time.Sleep(time.Minute)
		lost := errors.New("connection reset")
		a.mu.Lock()
		var fs []func(error)
		for id, f := range a.pending {
			fs = append(fs, f)
			delete(a.pending, id)
		}
		a.mu.Unlock()
		if len(fs) != maxWindow {
			t.Errorf("%d blocks on the way", len(fs))
		}
		for _, f := range fs {
			f(lost)
		}
		if err := <-sent; !errors.Is(err, lost) || !errors.Is(err, ErrBroken) {
			t.Errorf("write: %v", err)
		}
		if _, err := ca.Read(make([]byte, 1)); !errors.Is(err, lost) {
			t.Errorf("read: %v", err)
		}
		_, _ = ca.Close(), cb.Close()
	})
}

// TestManagerClose ends whatever is under way.
func TestManagerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newWires(t, time.Hour)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.m.Open(context.Background(), Params{Peer: b.self, Transport: Transport{"s", 0}}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("open: %v", err)
			}
		})
		e, err := a.m.Expect(Params{Peer: b.self, Transport: Transport{"t", 0}})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := e.Accept(context.Background()); !errors.Is(err, ErrBroken) {
				t.Errorf("accept: %v", err)
			}
		})
		synctest.Wait()
		a.m.Close()
		wg.Wait()
	})
}
