package xmpptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func dialTCP(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(tapTimeout))
	return conn.(*net.TCPConn)
}

// target listens on loopback and hands out what it accepts.
func target(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	l := ln.(*net.TCPListener)
	_ = l.SetDeadline(time.Now().Add(tapTimeout))
	return l
}

// through returns both ends of a connection through a relay.
func through(t *testing.T, o RelayOptions) (r *Relay, dialler, accepted *net.TCPConn) {
	t.Helper()
	ln := target(t)
	r = StartRelay(t, ln.Addr().String(), o)
	dialler = dialTCP(t, r.Addr)
	accepted, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	_ = accepted.SetDeadline(time.Now().Add(tapTimeout))
	return r, dialler, accepted
}

func sample(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// TestFaultBytes proves each fault by the bytes that come out, with the input
// in one piece and byte by byte.
func TestFaultBytes(t *testing.T) {
	in := "0123456789"
	for _, tc := range []struct {
		name   string
		faults []Fault
		want   string
		cut    bool
	}{
		{"none", nil, in, false},
		{"flip first", []Fault{FlipBit(0, 0)}, "1123456789", false},
		{"flip last", []Fault{FlipBit(9, 3)}, "0123456781", false},
		{"flip behind the end", []Fault{FlipBit(10, 0)}, in, false},
		{"insert first", []Fault{InsertAt(0, []byte("x"))}, "x" + in, false},
		{"insert inside", []Fault{InsertAt(5, []byte("xy"))}, "01234xy56789", false},
		{"insert at the end", []Fault{InsertAt(10, []byte("x"))}, in + "x", false},
		{"append", []Fault{Append([]byte("x"))}, in + "x", false},
		{"drop last", []Fault{DropLast(1)}, in[:9], false},
		{"drop last three", []Fault{DropLast(3)}, in[:7], false},
		{"drop more than there is", []Fault{DropLast(11)}, "", false},
		{"truncate", []Fault{TruncateAt(9)}, in[:9], false},
		{"truncate at once", []Fault{TruncateAt(0)}, "", false},
		{"truncate behind the end", []Fault{TruncateAt(11)}, in, false},
		{"cut", []Fault{CutAt(4)}, in[:4], true},
		{"two", []Fault{DropLast(1), Append([]byte("x"))}, in[:9] + "x", false},
		{"late", []Fault{Latency(time.Millisecond), FlipBit(0, 0)}, "1123456789", false},
		{"slow", []Fault{Rate(1 << 20)}, in, false},
	} {
		for _, piece := range []int{len(in), 1} {
			var out bytes.Buffer
			ended := 0
			var st stage = sink{w: &out, fin: func() error { ended++; return nil }}
			ctx, cancel := context.WithCancel(t.Context())
			for i := len(tc.faults) - 1; i >= 0; i-- {
				st = tc.faults[i].attach(line{ctx: ctx, abort: cancel}, st)
			}
			var err error
			for at := 0; at < len(in) && err == nil; at += piece {
				err = st.write([]byte(in[at : at+piece]))
			}
			if err == nil {
				err = st.end()
			}
			st.stop()
			cancel()
			if out.String() != tc.want || errors.Is(err, errCut) != tc.cut || !tc.cut && ended != 1 {
				t.Errorf("%s by %d: got %q, ended %d times, %v; want %q", tc.name, piece, out.String(), ended, err, tc.want)
			}
		}
	}
	var out bytes.Buffer
	st := Append([]byte("x")).attach(line{}, sink{w: &out, fin: func() error { return nil }})
	if err := st.end(); err != nil || out.Len() != 0 {
		t.Errorf("an empty direction got %q, %v", out.Bytes(), err)
	}
}

func TestRelayCarries(t *testing.T) {
	in := sample(1 << 20)
	r, a, b := through(t, RelayOptions{Up: []Fault{FlipBit(1<<19, 7)}, Down: []Fault{DropLast(1)}, Record: true})
	go func() {
		_, _ = a.Write(in)
		_ = a.CloseWrite()
	}()
	got, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(in)
	want[1<<19] ^= 1 << 7
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out, not those wanted", len(got))
	}
	if _, err := b.Write([]byte("ok!")); err != nil { // the other way is still open
		t.Fatal(err)
	}
	_ = b.Close()
	if got, err := io.ReadAll(a); err != nil || string(got) != "ok" {
		t.Errorf("back: %q, %v", got, err)
	}
	c := r.Carried()
	if c.UpCount != 1<<20 || c.DownCount != 3 || !bytes.Equal(c.Up, in) || string(c.Down) != "ok!" || r.Connections() != 1 {
		t.Errorf("carried %d up, %d down in %d connections", c.UpCount, c.DownCount, r.Connections())
	}
}

func TestRelayCuts(t *testing.T) {
	_, a, b := through(t, RelayOptions{Up: []Fault{CutAt(100)}})
	if _, err := a.Write(sample(1000)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || len(got) != 100 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("the dialler's side is still open")
	}

	r, a, b := through(t, RelayOptions{})
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil { // now the relay knows it
		t.Fatal(err)
	}
	r.Cut()
	for _, c := range []net.Conn{a, b} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after a reset: %v", err)
		}
	}
}

func TestRelayStalls(t *testing.T) {
	r, a, b := through(t, RelayOptions{Up: []Fault{StallAt(10)}})
	if _, err := a.Write(sample(1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	_ = b.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var timeout net.Error
	if _, err := b.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("behind the stall: %v", err)
	}
	if _, err := b.Write([]byte("x")); err != nil { // the other way is free
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	r.Close()
}

// TestRelayRate: a limit cannot be exceeded, so the time has a lower bound.
func TestRelayRate(t *testing.T) {
	_, a, b := through(t, RelayOptions{Up: []Fault{Rate(1 << 20), Latency(20 * time.Millisecond)}})
	begin := time.Now()
	if _, err := a.Write(sample(100 << 10)); err != nil {
		t.Fatal(err)
	}
	_ = a.CloseWrite()
	if got, err := io.ReadAll(b); err != nil || len(got) != 100<<10 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if d := time.Since(begin); d < 110*time.Millisecond {
		t.Errorf("100 KiB at 1 MiB/s and 20 ms took %v", d)
	}
}

// A SOCKS5 handshake as XEP-0065 has it: a 40 digit hash for an address.
var (
	socksHello  = "\x05\x01\x00"
	socksAsk    = "\x05\x01\x00\x03\x28" + strings.Repeat("a", 40) + "\x00\x00"
	socksAnswer = "\x05\x00\x00\x03\x28" + strings.Repeat("a", 40) + "\x00\x00"
)

// handshake plays both sides of a SOCKS5 handshake through a relay.
func handshake(t *testing.T, a, b net.Conn, answer string) {
	t.Helper()
	for _, step := range []struct {
		from, to net.Conn
		text     string
	}{{a, b, socksHello}, {b, a, "\x05\x00"}, {a, b, socksAsk}, {b, a, answer}} {
		if _, err := io.WriteString(step.from, step.text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(step.text))
		if _, err := io.ReadFull(step.to, got); err != nil || string(got) != step.text {
			t.Fatalf("got %q (%v), want %q", got, err, step.text)
		}
	}
}

func TestRelayCountsBehindSOCKS5(t *testing.T) {
	r, a, b := through(t, Both(FlipBit(0, 0), Append([]byte("!"))))
	handshake(t, a, b, socksAnswer)
	if _, err := io.WriteString(b, "data"); err != nil {
		t.Fatal(err)
	}
	_ = b.CloseWrite()
	_ = a.CloseWrite()
	if got, err := io.ReadAll(a); err != nil || string(got) != "eata!" {
		t.Errorf("down: %q, %v", got, err)
	}
	if got, err := io.ReadAll(b); err != nil || len(got) != 0 {
		t.Errorf("up: %q, %v", got, err)
	}
	if c := r.Carried(); c.UpCount != 0 || string(c.Down) != "data" {
		t.Errorf("carried %+v", c)
	}
	for _, answer := range []string{"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x02\x00\x04" + strings.Repeat("\x00", 18)} {
		_, a, b := through(t, Both())
		handshake(t, a, b, answer)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after a refusal: %v", err)
		}
	}
}

func TestRelayWithoutTarget(t *testing.T) {
	ln := target(t)
	_ = ln.Close()
	r := StartRelay(t, ln.Addr().String(), RelayOptions{})
	conn, err := net.Dial("tcp", r.Addr) // may fail already: the relay resets at once
	if err == nil {
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("a relay to nowhere answers")
	}
}

func TestRedirector(t *testing.T) {
	ln := target(t)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	d := Redirect(t, Both(TruncateAt(3)))
	stanza := "<iq id='1'><jingle action='session-initiate'><transport xmlns='" + nsS5B + "' sid='a'>" +
		`<candidate cid='1' host="127.0.0.1" jid='a@b/host=' port="` + port + `" priority='1'/>` +
		"<candidate cid='2' host='127.0.0.1' port='" + port + "' type='proxy'></candidate>" +
		"<candidate cid='3'/><candidate-used cid='1'/></transport></jingle></iq>"
	out := d.Rewrite(ToServer, []byte(stanza))
	if len(d.Relays()) != 1 || len(out) != 1 || len(d.Errors()) != 0 {
		t.Fatalf("%d relays, %d stanzas, %v", len(d.Relays()), len(out), d.Errors())
	}
	r := d.Relays()[0]
	_, relayPort, _ := net.SplitHostPort(r.Addr)
	want := strings.NewReplacer(`"`+port+`"`, "'"+relayPort+"'", "'"+port+"'", "'"+relayPort+"'", `"127.0.0.1"`, "'127.0.0.1'").Replace(stanza)
	if string(out[0]) != want {
		t.Errorf("got  %s\nwant %s", out[0], want)
	}
	if again := d.Rewrite(ToClient, out[0]); !bytes.Equal(again[0], out[0]) {
		t.Errorf("changed twice: %s", again[0])
	}
	if other := d.Rewrite(ToClient, []byte("<iq><candidate host='a' port='1'/></iq>")); string(other[0]) != "<iq><candidate host='a' port='1'/></iq>" {
		t.Errorf("changed a foreign stanza: %s", other[0])
	}
	a := dialTCP(t, r.Addr)
	b, err := ln.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	handshake(t, a, b, socksAnswer)
	if _, err := io.WriteString(a, "hello"); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "hel" {
		t.Errorf("through the relay: %q, %v", got, err)
	}
	if c := d.Carried(); string(c.Up) != "hello" {
		t.Errorf("carried %+v", c)
	}
}
