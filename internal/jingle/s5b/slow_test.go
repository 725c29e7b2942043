package s5b

import (
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestSlowHandshake exceeds the time for a handshake: a client that trickles its
// greeting is cut off, however much it goes on.
func TestSlowHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		s := newServer(new(Ports), log, "a", "b")
		p := &port{ports: s.ports, log: log, seats: []seat{{s, 0}}}
		client, conn := net.Pipe()
		if !p.admit(conn) {
			t.Fatal("not admitted")
		}
		p.wg.Go(func() { p.handshake(conn) })
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
		p.wg.Wait()
		if len(p.pending) > 0 || s.take(anyListener) != nil {
			t.Error("still there")
		}
		_ = client.Close()
	})
}
