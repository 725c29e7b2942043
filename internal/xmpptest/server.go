package xmpptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"jetsend/internal/xmpptest/child"
)

const (
	// startPoll is how often a starting server is asked whether it listens.
	startPoll = 10 * time.Millisecond
	// startTries is how often new ports are tried after others took ours.
	startTries = 4
	// outputLog is the file for what a server prints.
	outputLog = "output.log"
)

// ErrNoProsody is returned where Prosody is not installed. Use errors.Is; the
// text says the command that installs it.
var ErrNoProsody = errors.New("prosody is not installed; run: apt-get install -y --no-install-recommends prosody")

// errPortTaken means that another process took a port between our look and
// the server's bind.
var errPortTaken = errors.New("port taken")

// Server is a private server. Its fields do not change after the start; its
// methods may be called from any goroutine.
type Server struct {
	Domain    string // the domain served
	Addr      string // host:port for clients, STARTTLS
	TLSAddr   string // host:port for clients, direct TLS
	ProxyAddr string // host:port of the SOCKS5 proxy, "" without one
	ProxyJID  string // its JID, "" without one
	CAFile    string // PEM file of the only authority that vouches for the server
	CA        *CA    // that authority

	dir     string
	control string // host:port of its API, "" without one

	mu      sync.Mutex
	backend backend
	proc    *child.Process // nil while stopped
}

// Start starts a private server that lives as long as the test. A machine
// without the program fails the test: nothing is skipped silently.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := StartServer(tb.Context(), tb.TempDir(), o)
	if err != nil {
		tb.Fatalf("start server: %v", err)
	}
	tb.Cleanup(func() {
		s.Kill() // nobody is left to say goodbye to
		if tb.Failed() {
			tb.Logf("server log:\n%s", s.Log())
		}
	})
	return s
}

// StartServer starts a private server that keeps everything in dir, an
// existing directory of the caller's that is otherwise empty, and returns when
// it accepts connections. The context bounds the start only: call
// [Server.Stop]. On Linux the server also dies with this process.
func StartServer(ctx context.Context, dir string, o Options) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find server directory: %w", err)
	}
	s := &Server{Domain: o.domain(), CAFile: filepath.Join(dir, "ca.pem"), dir: dir}
	if s.backend, err = newBackend(dir, o); err != nil {
		return nil, err
	}
	if err := s.prepare(o); err != nil {
		return nil, err
	}
	for range startTries {
		if err = s.startOn(ctx, o); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	err = s.populate(ctx, o)
	s.mu.Unlock()
	if err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

func newBackend(dir string, o Options) (backend, error) {
	switch o.Software {
	case "", Prosody:
		return newProsody(dir, o.domain())
	case ProsodySASL2:
		if _, err := os.Stat(filepath.Join(communityModules, "mod_sasl2")); err != nil {
			return nil, fmt.Errorf("%w (%w)", ErrNoModules, err)
		}
		return newProsody(dir, o.domain())
	case Ejabberd:
		return newEjabberd(dir, o.domain())
	}
	return nil, fmt.Errorf("no server software %q: want %s, %s or %s", o.Software, Prosody, ProsodySASL2, Ejabberd)
}

// prepare writes everything but the configuration.
func (s *Server) prepare(o Options) error {
	tlsDir := filepath.Join(s.dir, "tls")
	if err := os.MkdirAll(tlsDir, 0o700); err != nil {
		return fmt.Errorf("make server directory: %w", err)
	}
	var err error
	if s.CA, err = NewCA(); err != nil {
		return err
	}
	if err := os.WriteFile(s.CAFile, s.CA.PEM(), 0o600); err != nil {
		return fmt.Errorf("write ca: %w", err)
	}
	leaf, err := s.CA.Leaf(o.CertNotAfter, o.certNames()...)
	if err != nil {
		return err
	}
	if err := writeKeyPair(tlsDir, leaf); err != nil {
		return err
	}
	return s.backend.prepare(o)
}

// startOn picks addresses, configures the server for them and starts it.
func (s *Server) startOn(ctx context.Context, o Options) error {
	e, err := pickEndpoints(!o.NoProxy, o.Software == Ejabberd)
	if err != nil {
		return err
	}
	if err := s.backend.configure(e, o); err != nil {
		return err
	}
	s.Addr, s.TLSAddr, s.ProxyAddr, s.control = e.c2s, e.direct, e.proxy, e.control
	if e.proxy != "" {
		s.ProxyJID = "proxy." + s.Domain
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.launch(ctx)
}

// launch starts the process and waits until it listens on all its addresses.
// The caller holds mu.
func (s *Server) launch(ctx context.Context) error {
	timeout, _ := s.backend.limits()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	logged := len(s.Log())
	proc, err := s.run()
	if err != nil {
		return err
	}
	for _, addr := range []string{s.Addr, s.TLSAddr, s.ProxyAddr, s.control} {
		if err = waitListening(ctx, proc, addr); err != nil {
			break
		}
	}
	fresh := s.Log()[logged:]
	if s.backend.portTaken(fresh) {
		err = errPortTaken
	}
	if err != nil {
		proc.Kill()
		return fmt.Errorf("start server: %w; its log:\n%s", err, fresh)
	}
	s.proc = proc
	return nil
}

// run starts the process with its output in a file.
func (s *Server) run() (*child.Process, error) {
	out, err := os.OpenFile(filepath.Join(s.dir, outputLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open output file: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd := s.backend.command()
	cmd.Stdout, cmd.Stderr = out, out
	return child.Start(cmd)
}

// waitListening returns when a connection to addr succeeds.
func waitListening(ctx context.Context, proc *child.Process, addr string) error {
	if addr == "" {
		return nil
	}
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-proc.Done():
			return fmt.Errorf("the server ended by itself: %w", proc.Wait())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", addr, ctx.Err())
		}
	}
}

// Stop asks the server to stop, waits until it is gone and kills it when it
// takes too long. Clients see their streams end, usually
// with a goodbye. A stopped server is stopped
// again without error.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return nil
	}
	_, timeout := s.backend.limits()
	err := s.proc.Stop(timeout)
	s.proc = nil
	return err
}

// Kill ends the server at once, as a crash or a power cut would, and waits
// until it is gone.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.Kill()
		s.proc = nil
	}
}

// Restart stops the server if it runs and starts it again on the same
// addresses with the same accounts and data.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.launch(ctx)
}

// PID returns the process id of the running server, 0 while it is stopped.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.PID()
}

// Log returns what the server has logged so far, over all restarts.
func (s *Server) Log() string {
	var all []byte
	for _, name := range s.backend.logs() {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err.Error()
		}
		all = append(all, text...)
	}
	return string(all)
}
