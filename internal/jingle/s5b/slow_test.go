package s5b

import (
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowHandshake exceeds the time for a handshake: a client that trickles its
// greeting is cut off, however much it goes on.
func TestSlowHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		s := newServer(t.Context(), &wg, slog.New(slog.DiscardHandler), "a", "b")
		client, conn := net.Pipe()
		if !s.admit(conn) {
			t.Fatal("not admitted")
		}
		wg.Go(func() { s.handshake(accepted{conn, 0}) })
		begun := time.Now()
		var err error
		for b := []byte{socksVersion}; err == nil; b[0] = 200 { // so many methods, one a second
			if _, err = client.Write(b); err == nil {
				time.Sleep(time.Second)
			}
		}
		if took := time.Since(begun); took < handshakeTimeout || took > handshakeTimeout+time.Second {
			t.Errorf("cut off after %v: %v", took, err)
		}
		wg.Wait()
		if len(s.pending) > 0 || s.take(anyListener) != nil {
			t.Error("still there")
		}
		_ = client.Close()
	})
}
