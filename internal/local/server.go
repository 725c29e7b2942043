package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// Handler answers one request. What it gives send is told at once, as an item; an error of
// send means that nobody listens any more. Its ctx ends with the connection, and with that
// of [Server.Serve]: then there is little time left to tell the rest. The cause is an *[Error]
// with what the other end says, [ErrGone] when it says nothing, or that of Serve. An *[Error]
// is told as it is.
type Handler func(ctx context.Context, r Request, send func(item any) error) error

// Server answers requests on a socket.
type Server struct {
	ln       *net.UnixListener
	path     string
	handlers map[string]Handler
	log      *slog.Logger
	trust    func(*net.UnixConn) error // tells strangers apart; see checkPeer
}

// Listen takes the socket at a path, in a directory that must be there and be closed to
// others. Whoever calls it owns the path: a socket that a process left behind which was
// killed is removed, whether or not somebody listens on it.
func Listen(path string, handlers map[string]Handler, log *slog.Logger) (*Server, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case leftBehind(info):
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s is in the way: it is no socket", path)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &Server{ln: ln, path: path, handlers: handlers, log: log, trust: checkPeer}, nil
}

// Serve answers until ctx ends, and returns when every handler has. The socket is gone then.
func (s *Server) Serve(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer context.AfterFunc(ctx, func() { _ = s.ln.Close() })() // which removes the socket, too
	defer func() { _ = s.ln.Close() }()
	free := make(chan struct{}, maxConnections)
	for {
		conn, err := s.ln.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil { // such as: no file descriptors left
			s.log.Warn("local socket", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(patience):
			}
			continue
		}
		select {
		case free <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		tasks.Go(func() {
			defer func() { <-free }()
			s.serve(ctx, conn)
		})
	}
}

// serve answers the request of a connection.
func (s *Server) serve(ctx context.Context, conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	if err := s.trust(conn); err != nil {
		s.log.Warn("local socket", "error", err)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // a closed connection fails in Read
	in := bufio.NewReader(conn)
	b, err := readLine(in, MaxRequest)
	var r Request
	if err == nil {
		r, err = parseRequest(b)
	}
	out := &answers{conn: conn}
	if err == nil {
		err = s.answer(ctx, conn, in, r, out)
	}
	s.log.Debug("local request", "request", r.Name, "error", err)
	out.end(err)
}

// answer runs the handler of a request, until the other end hangs up.
func (s *Server) answer(ctx context.Context, conn *net.UnixConn, in *bufio.Reader, r Request, out *answers) error {
	h := s.handlers[r.Name]
	if h == nil {
		return &Error{Code: 2, Text: fmt.Sprintf("the running jetsend does not know the request %q: it is another version", r.Name)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	_ = conn.SetReadDeadline(time.Time{})
	var watch sync.WaitGroup
	watch.Go(func() { cancel(lastWord(in)) })
	err := h(ctx, r, out.item)
	_ = conn.SetReadDeadline(time.Now()) // wakes the watch
	watch.Wait()
	return err
}

// lastWord waits for what the other end says last, if anything: nothing else is ever said.
func lastWord(in *bufio.Reader) error {
	b, err := readLine(in, MaxRequest)
	if err != nil {
		return ErrGone
	}
	l, err := parse(b)
	if err != nil || l.End == nil || l.End.Error == "" {
		return ErrGone
	}
	return &Error{Code: l.End.Code, Text: l.End.Error}
}

// answers writes to one connection, from one goroutine at a time.
type answers struct{ conn *net.UnixConn }

func (a *answers) item(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.write(line{Item: b})
}

func (a *answers) end(err error) {
	e := &end{}
	var known *Error
	switch {
	case errors.As(err, &known):
		e.Code, e.Error, e.Hints = known.Code, known.Text, known.Hints
	case err != nil:
		e.Code, e.Error = 1, err.Error()
	}
	_ = a.write(line{End: e}) // who has gone does not want it
}

func (a *answers) write(l line) error {
	b, err := encode(l)
	if err != nil {
		return err
	}
	_ = a.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err = a.conn.Write(b)
	return err
}
