package session

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// TestFamilies: of the two addresses of a server one refuses, or does not answer
// at all. The other one is reached, in a time that is too short to wait for the
// silent one first.
func TestFamilies(t *testing.T) {
	const v4, v6 = "127.0.0.1", "::1"
	for name, tt := range map[string]struct {
		lives, dead string
		silent      bool
	}{
		"IPv6 refused": {v4, v6, false},
		"IPv4 refused": {v6, v4, false},
		"IPv6 silent":  {v4, v6, true},
		"IPv4 silent":  {v6, v4, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&fake{host: tt.lives}).start(t)
			if tt.silent {
				deafen(t, netip.AddrPortFrom(netip.MustParseAddr(tt.dead), f.ln.Addr().(*net.TCPAddr).AddrPort().Port()))
			}
			nameServer(t, "xmpp."+fakeDomain+".", netip.MustParseAddr(v4), netip.MustParseAddr(v6))
			_, port, _ := net.SplitHostPort(f.address())
			var err error
			for range 5 { // a busy machine may need another try
				cfg := f.config()
				cfg.Server = net.JoinHostPort("xmpp."+fakeDomain, port)
				s := New(cfg)
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				err = s.Start(ctx)
				cancel()
				closeSession(t, s)
				if err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
}

// deafen has connections to a place neither made nor refused.
func deafen(t *testing.T, at netip.AddrPort) {
	t.Helper()
	family, sa := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, sa = syscall.AF_INET, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, sa); err != nil {
		t.Skipf("the port is taken there: %v", err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	// The queue of those whom nobody accepts is full after one or two.
	for {
		c, err := net.DialTimeout("tcp", at.String(), 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
}

// nameServer is what the system's resolver asks during the test: it knows one name.
func nameServer(t *testing.T, name string, addrs ...netip.Addr) {
	t.Helper()
	var wg sync.WaitGroup
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe() // no packets, so messages have a length (RFC 1035 section 4.2.2)
		wg.Go(func() { serveNames(there, name, addrs) })
		return here, nil
	}}
	t.Cleanup(func() { net.DefaultResolver = was; wg.Wait() })
}

func serveNames(c net.Conn, name string, addrs []netip.Addr) {
	defer c.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		ask := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, ask); err != nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(ask); err != nil || len(m.Questions) != 1 {
			return
		}
		m.Response, m.Additionals = true, nil
		q := m.Questions[0]
		if q.Name.String() != name {
			m.RCode = dnsmessage.RCodeNameError
			addrs = nil
		}
		head := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 1}
		for _, a := range addrs {
			switch {
			case q.Type == dnsmessage.TypeA && a.Is4():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
			case q.Type == dnsmessage.TypeAAAA && a.Is6():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
		answer, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}
