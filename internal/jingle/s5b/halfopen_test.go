package s5b

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentConnection: a connection on which nobody speaks is cut off after the time
// for a handshake, and so is one that stops in the middle.
func TestSilentConnection(t *testing.T) {
	for _, said := range []string{"", "\x05", "\x05\x01\x00", "\x05\x01\x00\x05\x01\x00\x03\x28aaaa"} {
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
			go func() { _, _ = io.WriteString(client, said) }()
			_, err := io.Copy(io.Discard, client) // until it is closed
			if took := time.Since(begun); err != nil || took != handshakeTimeout {
				t.Errorf("%q: cut off after %v: %v", said, took, err)
			}
			p.wg.Wait()
			if len(p.pending) > 0 || s.take(anyListener) != nil {
				t.Errorf("%q: still there", said)
			}
			_ = client.Close()
		})
	}
}

// TestHalfClosed: a client that closes its half in the middle of the handshake is let
// go at once, and keeps nobody out; one that does so behind it can still be sent to.
func TestHalfClosed(t *testing.T) {
	a := newSide(t, local(t), romeo, juliet, true)
	whole := "\x05\x01\x00" + "\x05\x01\x00\x03\x28" + DestinationAddress("vj3hs98y", romeo, juliet) + "\x00\x00"
	for n := range len(whole) {
		c := dialServer(t, a.n.srv)
		if _, err := io.WriteString(c, whole[:n]); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// The deadline of dialServer is longer than that of a handshake.
		if err := c.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Fatalf("half closed after %d bytes: still open", n)
		}
	}
	c := dialServer(t, a.n.srv)
	if _, err := io.WriteString(c, whole); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got := awaitTake(t, a.n.srv)
	if _, err := io.WriteString(got, "hail"); err != nil {
		t.Fatal(err)
	}
	_ = got.Close()
	text, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(text), "hail") {
		t.Errorf("%q, %v", text, err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
