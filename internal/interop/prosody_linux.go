package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"jetsend/internal/xmpptest"
)

// prosody is the harness's private Prosody. It listens on ports of its own
// choice, so a forwarder stands on the standard ones.
type prosody struct {
	srv      *xmpptest.Server
	forwards []*forward
}

func startProsody(ctx context.Context, s *server) error {
	dir := filepath.Join(s.dir, "server")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	o := xmpptest.Options{Domain: s.kind.domain}
	if s.kind.name == eventProsody {
		o.Extra = `network_backend = "event"`
	}
	srv, err := xmpptest.StartServer(ctx, dir, o)
	if err != nil {
		return err
	}
	p := &prosody{srv: srv}
	s.backend, s.logs = p, []string{filepath.Join(dir, "prosody.log")}
	for from, to := range map[string]string{s.addr(): srv.Addr, s.tlsAddr(): srv.TLSAddr} {
		f, err := newForward(from, to)
		if err != nil {
			p.stop()
			return err
		}
		p.forwards = append(p.forwards, f)
	}
	if err := os.WriteFile(s.caFile, srv.CA.PEM(), 0o644); err != nil {
		p.stop()
		return fmt.Errorf("write ca: %w", err)
	}
	return nil
}

func (p *prosody) addUser(_ context.Context, user, password string) error {
	return p.srv.AddAccount(user, password)
}

func (p *prosody) befriend(_ context.Context, a, b string) error { return p.srv.Subscribe(a, b) }

func (p *prosody) stop() {
	for _, f := range p.forwards {
		f.close()
	}
	p.srv.Kill() // its clients are gone by now, or are to see a server that is
}

// forward copies every connection to one address to another one.
type forward struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
}

func newForward(from, to string) (*forward, error) {
	ln, err := net.Listen("tcp", from)
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", to, err)
	}
	f := &forward{ln: ln, to: to, conns: map[net.Conn]bool{}}
	f.wg.Go(f.serve)
	return f, nil
}

func (f *forward) serve() {
	for {
		c, err := f.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			f.wg.Go(func() { f.join(c) })
		}
	}
}

// join copies both ways until either end closes.
func (f *forward) join(in net.Conn) {
	out, err := net.Dial("tcp", f.to)
	if err != nil {
		_ = in.Close() // the server is gone, and so is its client
		return
	}
	f.mu.Lock()
	if f.conns == nil {
		f.mu.Unlock()
		_, _ = in.Close(), out.Close()
		return
	}
	f.conns[in], f.conns[out] = true, true
	f.mu.Unlock()
	closeBoth := sync.OnceFunc(func() {
		_, _ = in.Close(), out.Close()
		f.mu.Lock()
		delete(f.conns, in)
		delete(f.conns, out)
		f.mu.Unlock()
	})
	f.wg.Go(func() {
		_, _ = io.Copy(out, in)
		closeBoth()
	})
	_, _ = io.Copy(in, out)
	closeBoth()
}

// close ends the listener and every connection and waits.
func (f *forward) close() {
	_ = f.ln.Close()
	f.mu.Lock()
	for c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.wg.Wait()
}
