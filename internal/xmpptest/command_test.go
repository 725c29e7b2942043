package xmpptest

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// briefly is how long a test looks whether something that must not happen does.
const briefly = 50 * time.Millisecond

func exchange(t *testing.T, from, to *net.TCPConn, text, want string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

func TestRelayStall(t *testing.T) {
	r, dialler, accepted := through(t, RelayOptions{})
	exchange(t, dialler, accepted, "before", "before")
	r.Stall()
	r.Stall()
	if _, err := io.WriteString(dialler, "held"); err != nil {
		t.Fatal(err)
	}
	if err := dialler.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = accepted.SetReadDeadline(time.Now().Add(briefly))
	if n, err := accepted.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a stalled relay passed %d bytes, %v", n, err)
	}
	_ = accepted.SetReadDeadline(time.Now().Add(tapTimeout))
	r.Heal()
	if got, err := io.ReadAll(accepted); err != nil || string(got) != "held" {
		t.Errorf("after healing: %q, %v", got, err)
	}
	exchange(t, accepted, dialler, "back", "back")
}

func TestRelayRefuse(t *testing.T) {
	ln := target(t)
	r := StartRelay(t, ln.Addr().String(), RelayOptions{})
	first := dialTCP(t, r.Addr)
	if _, err := ln.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	r.Refuse()
	second, err := net.Dial("tcp", r.Addr) // which may see the reset already
	for _, c := range []net.Conn{first, second} {
		if c == second && err != nil {
			break
		}
		if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a refusing relay: %d bytes, %v", n, err)
		}
		_ = c.Close()
	}
	r.Heal()
	again := dialTCP(t, r.Addr)
	accepted, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, again, accepted, "hello", "hello")
}

func TestRelayFlipAndCount(t *testing.T) {
	r, dialler, accepted := through(t, RelayOptions{})
	five := r.Reached(5)
	exchange(t, dialler, accepted, "aaa", "aaa")
	select {
	case <-five:
		t.Error("reached before its time")
	default:
	}
	r.FlipNext()
	exchange(t, accepted, dialler, "aa", "qa")
	<-five
	<-r.Reached(0)
	exchange(t, accepted, dialler, "aa", "aa")
	if c := r.Carried(); c.UpCount != 3 || c.DownCount != 4 {
		t.Errorf("%+v", c)
	}
}
