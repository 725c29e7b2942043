package s5b

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const dstA, dstB = "972b7bf47291ca609517f67f86b5081086052dad", "1a12fb7bc625e55f3ed5b29a53dbe0e4aa7d80ba"

// script is a connection with a peer that says the same whatever it hears.
type script struct {
	io.Reader
	bytes.Buffer // what was written
}

func (s *script) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func asked(dst string) string {
	return "\x05\x01\x00" + "\x05\x01\x00\x03" + string(rune(len(dst))) + dst + "\x00\x00"
}

// among tells of a destination whether it is one of two.
func among(a, b string) func(string) bool { return (&server{dst: [2]string{a, b}}).asked }

func TestServeRequest(t *testing.T) {
	refused4 := "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, tt := range []struct {
		name, in, out string
		ok            bool
	}{
		{"owner first", asked(dstA), "\x05\x00" + "\x05\x00\x00\x03\x28" + dstA + "\x00\x00", true},
		{"peer first", asked(dstB), "\x05\x00" + "\x05\x00\x00\x03\x28" + dstB + "\x00\x00", true},
		{"upper case, echoed", asked(strings.ToUpper(dstA)), "\x05\x00" + "\x05\x00\x00\x03\x28" + strings.ToUpper(dstA) + "\x00\x00", true},
		{"more methods", "\x05\x03\x02\x01\x00" + asked(dstA)[3:], "\x05\x00" + "\x05\x00\x00\x03\x28" + dstA + "\x00\x00", true},
		{"a port", strings.TrimSuffix(asked(dstA), "\x00\x00") + "\x04\x38", "\x05\x00" + "\x05\x00\x00\x03\x28" + dstA + "\x00\x00", true},
		{"another destination", asked("0" + dstA[1:]), "\x05\x00" + "\x05\x02\x00\x03\x28" + "0" + dstA[1:] + "\x00\x00", false},
		{"a prefix", asked(dstA[:39]), "\x05\x00" + "\x05\x02\x00\x03\x27" + dstA[:39] + "\x00\x00", false},
		{"no destination", asked(""), "\x05\x00" + "\x05\x02\x00\x03\x00\x00\x00", false},
		{"only with password", "\x05\x01\x02", "\x05\xff", false},
		{"no methods", "\x05\x00", "\x05\xff", false},
		{"bind", "\x05\x01\x00\x05\x02\x00\x03\x28" + dstA + "\x00\x00", "\x05\x00" + refused4, false},
		{"an address", "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00" + refused4, false},
		{"socks4", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "", false},
		{"http", "GET / HTTP/1.0\r\n\r\n", "", false},
		{"cut off", asked(dstA)[:20], "\x05\x00", false},
		{"nothing", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{Reader: strings.NewReader(tt.in + "file")}
			if tt.name == "cut off" || tt.name == "nothing" {
				s.Reader = strings.NewReader(tt.in)
			}
			err := serveRequest(s, among(dstA, dstB))
			if (err == nil) != tt.ok || s.String() != tt.out {
				t.Fatalf("%v, wrote %q", err, s.String())
			}
			if rest, _ := io.ReadAll(s.Reader); tt.ok && string(rest) != "file" {
				t.Errorf("left %q of the stream", rest)
			}
		})
	}
}

func TestRequestOver(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		ok       bool
	}{
		{"echo", "\x05\x00\x05\x00\x00\x03\x28" + dstA + "\x00\x00", true},
		{"IPv4", "\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38", true},
		{"IPv6", "\x05\x00\x05\x00\x00\x04" + strings.Repeat("\x00", 18), true},
		{"empty name", "\x05\x00\x05\x00\x00\x03\x00\x00\x00", true},
		{"long name", "\x05\x00\x05\x00\x00\x03\xff" + strings.Repeat("a", 257), true},
		{"no method", "\x05\xff", false},
		{"password", "\x05\x02", false},
		{"socks4", "\x04\x00", false},
		{"refused", "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", false},
		{"other version", "\x05\x00\x04\x00\x00\x01\x00\x00\x00\x00\x00\x00", false},
		{"unknown address", "\x05\x00\x05\x00\x00\x02\x00\x00", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{Reader: strings.NewReader(tt.in + "file")}
			err := requestOver(s, dstA, false)
			if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, errRefused) {
				t.Fatal(err)
			}
			if !tt.ok {
				return
			}
			if s.String() != asked(dstA) {
				t.Errorf("wrote %q", s.String())
			}
			if rest, _ := io.ReadAll(s.Reader); string(rest) != "file" {
				t.Errorf("left %q of the stream", rest)
			}
			for n := range len(tt.in) {
				if err := requestOver(&script{Reader: strings.NewReader(tt.in[:n])}, dstA, false); err == nil {
					t.Errorf("cut after %d bytes: no error", n)
				}
			}
		})
	}
	for _, dst := range []string{"", strings.Repeat("a", 256)} {
		if err := requestOver(&script{Reader: strings.NewReader("")}, dst, false); !errors.Is(err, ErrProtocol) {
			t.Errorf("destination of %d bytes: %v", len(dst), err)
		}
	}
}

// The reply is one write: some clients read only once.
func TestReplyInOneWrite(t *testing.T) {
	c, s := net.Pipe()
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- serveRequest(s, among(dstA, dstB)); s.Close() }()
	buf := make([]byte, 100)
	for _, step := range []struct{ out, in string }{
		{"\x05\x01\x00", "\x05\x00"},
		{asked(dstA)[3:], "\x05\x00\x00\x03\x28" + dstA + "\x00\x00"},
	} {
		if _, err := io.WriteString(c, step.out); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != step.in {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A cancelled context ends a handshake with a server that says nothing.
func TestRequestCancelled(t *testing.T) {
	c, s := net.Pipe()
	defer c.Close()
	defer s.Close()
	go func() { _, _ = io.Copy(io.Discard, s) }()
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if err := request(ctx, c, dstA, false); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// dialServer connects to a listener of s.
func dialServer(t *testing.T, s *server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.listeners[0].l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(limit))
	return c
}

// awaitTake waits until s has a connection.
func awaitTake(t *testing.T, s *server) *Conn {
	t.Helper()
	timeout := time.After(limit)
	for {
		if c := s.take(anyListener); c != nil {
			t.Cleanup(func() { c.Close() })
			return c
		}
		select {
		case <-s.ready:
		case <-timeout:
			t.Fatal("no connection was accepted")
		}
	}
}

func TestServerRefuses(t *testing.T) {
	a := newSide(t, local(t), romeo, juliet, true)
	c := dialServer(t, a.n.srv)
	if err := request(t.Context(), c, strings.Repeat("0", 40), false); !errors.Is(err, errRefused) {
		t.Errorf("wrong destination: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("still open after a wrong destination")
	}
	if c := a.n.srv.take(anyListener); c != nil {
		t.Error("accepted")
	}
}

// More idle connections than there may be handshakes do not keep the peer out.
func TestServerFlood(t *testing.T) {
	a := newSide(t, local(t), romeo, juliet, true)
	var idle []net.Conn
	for range 5 * maxHandshakes {
		idle = append(idle, dialServer(t, a.n.srv))
	}
	c := dialServer(t, a.n.srv)
	if err := request(t.Context(), c, DestinationAddress("vj3hs98y", romeo, juliet), false); err != nil {
		t.Fatal(err)
	}
	awaitTake(t, a.n.srv)
	a.n.srv.ports.mu.Lock()
	pending := len(a.n.srv.listeners[0].pending)
	a.n.srv.ports.mu.Unlock()
	if pending > maxHandshakes {
		t.Errorf("%d handshakes at once", pending)
	}
	if _, err := idle[0].Read(make([]byte, 1)); err == nil {
		t.Error("the oldest idle connection is still open")
	}
}

// A client that knows the destination cannot pile up connections either.
func TestServerAccepted(t *testing.T) {
	a := newSide(t, local(t), romeo, juliet, true)
	for i := range maxAccepted + 3 {
		c := dialServer(t, a.n.srv)
		err := request(t.Context(), c, DestinationAddress("vj3hs98y", romeo, juliet), false)
		if err != nil {
			t.Fatal(err)
		}
		if i >= maxAccepted {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("connection too many is open")
			}
			continue
		}
		for n := -1; n <= i; { // in order
			a.n.srv.mu.Lock()
			n = len(a.n.srv.accepted)
			a.n.srv.mu.Unlock()
			if n <= i {
				<-a.n.srv.ready
			}
		}
	}
}

// Of several connections the one that the peer kept is taken, and what it sent
// already is not lost.
func TestTakeLiving(t *testing.T) {
	for _, early := range []string{"", "early"} {
		t.Run(fmt.Sprintf("%q", early), func(t *testing.T) {
			a := newSide(t, local(t), romeo, juliet, true)
			var cs []net.Conn
			for range 3 {
				c := dialServer(t, a.n.srv)
				if err := request(t.Context(), c, DestinationAddress("vj3hs98y", juliet, romeo), false); err != nil {
					t.Fatal(err)
				}
				<-a.n.srv.ready
				cs = append(cs, c)
			}
			cs[0].Close()
			if _, err := io.WriteString(cs[1], early); err != nil {
				t.Fatal(err)
			}
			got := awaitTake(t, a.n.srv)
			if _, err := io.WriteString(cs[1], "late"); err != nil {
				t.Fatal(err)
			}
			cs[1].Close()
			b, err := io.ReadAll(got)
			if err != nil || string(b) != early+"late" {
				t.Errorf("read %q, %v", b, err)
			}
		})
	}
}

func FuzzSocksServer(f *testing.F) {
	f.Add([]byte(asked(dstA)))
	f.Add([]byte(asked("x")))
	f.Add([]byte("\x05\x02\x00\x01\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &script{Reader: bytes.NewReader(in)}
		if err := serveRequest(s, among(dstA, dstB)); err != nil {
			return
		}
		low := strings.ToLower(string(in))
		if !strings.Contains(low, dstA) && !strings.Contains(low, dstB) {
			t.Fatalf("accepted without the destination: %q", in)
		}
	})
}

func FuzzSocksClient(f *testing.F) {
	f.Add([]byte("\x05\x00\x05\x00\x00\x03\x28" + dstA + "\x00\x00"))
	f.Add([]byte("\x05\x00\x05\x00\x00\x04" + strings.Repeat("\x00", 18)))
	f.Add([]byte("\x05\x00\x05\x00\x00\x03\x00\x00\x00")) // the shortest: a name of no bytes
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &script{Reader: bytes.NewReader(in)}
		err := requestOver(s, dstA, false)
		if err == nil && (len(in) < 9 || in[0] != 5 || in[1] != 0 || in[2] != 5 || in[3] != 0) {
			t.Fatalf("success from %q", in)
		}
	})
}

// TestAtOnce: greeting and request are one write to the server of a jetsend, and to nobody
// else: neither to another client's, which may read only once, nor to a proxy.
func TestAtOnce(t *testing.T) {
	for _, tt := range []struct {
		jetsend bool
		typ     string
		want    bool
	}{{true, Direct, true}, {true, Assisted, true}, {true, Mediated, false}, {false, Direct, false}} {
		ours, theirs := net.Pipe()
		cfg := local(t)
		cfg.Jetsend = tt.jetsend
		cfg.Dial = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		a := newSide(t, cfg, romeo, juliet, true)
		ended := make(chan error, 1)
		go func() {
			c, err := a.n.reach(t.Context(), target{Candidate: Candidate{Host: "127.0.0.1", Port: 1, Type: tt.typ}, local: true}, []string{dstA})
			if err == nil {
				err = c.Close()
			}
			ended <- err
		}()
		first := make([]byte, 100)
		n, err := theirs.Read(first) // one write
		if err != nil {
			t.Fatal(err)
		}
		want := asked(dstA)[:3]
		if tt.want {
			want = asked(dstA)
		}
		if string(first[:n]) != want {
			t.Errorf("jetsend %t, %s: %q", tt.jetsend, tt.typ, first[:n])
		}
		if err := serveRequest(&Conn{Conn: theirs, early: first[:n]}, among(dstA, dstB)); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = theirs.Close()
	}
}
