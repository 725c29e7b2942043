package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving has handlers answer at a socket, until the test ends.
func serving(t *testing.T, handlers map[string]Handler, change func(*Server)) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, handlers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return path, stop
}

// TestCall: what is asked arrives, what is answered comes in order, and how it ends.
func TestCall(t *testing.T) {
	path, stop := serving(t, map[string]Handler{
		"count": func(_ context.Context, r Request, send func(any) error) error {
			var to int
			if err := json.Unmarshal(r.Body, &to); err != nil {
				return err
			}
			for i := range to {
				if err := send(map[string]int{"n": i}); err != nil {
					return err
				}
			}
			return nil
		},
		"refuse": func(context.Context, Request, func(any) error) error {
			return &Error{Code: 12, Text: "no", Hints: []string{"run `this`"}}
		},
		"forever": func(ctx context.Context, _ Request, send func(any) error) error {
			if err := send("begun"); err != nil {
				return err
			}
			<-ctx.Done()
			return send("ended")
		},
		"leave": func(ctx context.Context, _ Request, send func(any) error) error {
			if err := send("begun"); err != nil {
				return err
			}
			<-ctx.Done()
			return send(context.Cause(ctx).Error())
		},
	}, nil)
	var got []string
	take := func(item json.RawMessage) error { got = append(got, string(item)); return nil }
	if err := Call(t.Context(), path, "count", 3, take); err != nil || strings.Join(got, " ") != `{"n":0} {"n":1} {"n":2}` {
		t.Errorf("%v: %v", got, err)
	}
	var refused *Error
	if err := Call(t.Context(), path, "refuse", nil, take); !errors.As(err, &refused) || refused.Code != 12 || refused.Text != "no" || len(refused.Hints) != 1 {
		t.Errorf("refused: %v", err)
	}
	if err := Call(t.Context(), path, "dance", nil, take); !errors.As(err, &refused) || refused.Code != 2 {
		t.Errorf("what it does not know: %v", err)
	}
	enough := errors.New("enough")
	if err := Call(t.Context(), path, "forever", nil, func(json.RawMessage) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a taker that has enough: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := Call(ctx, path, "forever", nil, func(json.RawMessage) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}

	// Who is heard when it leaves says why, and hears the rest.
	why, cancelWhy := context.WithCancelCause(t.Context())
	got = nil
	err := Call(why, path, "leave", nil, func(item json.RawMessage) error {
		if got = append(got, string(item)); len(got) == 1 {
			cancelWhy(errors.New("tired"))
		}
		return nil
	})
	if err == nil || err.Error() != "tired" || strings.Join(got, " ") != `"begun" "tired"` {
		t.Errorf("%v: %v", got, err)
	}

	// The end of the server is told.
	got = nil
	err = Call(t.Context(), path, "forever", nil, func(item json.RawMessage) error {
		if got = append(got, string(item)); len(got) == 1 {
			go stop()
		}
		return nil
	})
	if err != nil || strings.Join(got, " ") != `"begun" "ended"` {
		t.Errorf("%v: %v", got, err)
	}
	stop()
	if err := Call(t.Context(), path, "count", 1, take); !errors.Is(err, ErrNobody) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestLeftBehind: the socket of a process that was killed is in nobody's way, and nothing
// else is ever removed.
func TestLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	_ = old.Close()
	s, err := Listen(path, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
		t.Errorf("%v, %v", info, err)
	}
	_ = s.ln.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file was taken for a socket")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

// TestStranger: another user is told nothing.
func TestStranger(t *testing.T) {
	path, _ := serving(t, nil, func(s *Server) { s.trust = func(*net.UnixConn) error { return ErrStranger } })
	if err := Call(t.Context(), path, "count", 1, nil); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	if ours(1000, 1000) != nil || ours(0, 1000) != nil || !errors.Is(ours(1001, 1000), ErrStranger) {
		t.Error("who is ours")
	}
}

// TestBounds: what is too long, or too many, ends the connection, and nothing else.
func TestBounds(t *testing.T) {
	begun := make(chan struct{}, 2*maxConnections)
	path, _ := serving(t, map[string]Handler{
		"wait": func(ctx context.Context, _ Request, _ func(any) error) error {
			begun <- struct{}{}
			<-ctx.Done()
			return nil
		},
	}, nil)
	var refused *Error
	if err := Call(t.Context(), path, "wait", strings.Repeat("x", MaxRequest), nil); !errors.As(err, &refused) && !errors.Is(err, ErrGone) {
		t.Errorf("too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, maxConnections)
	for range maxConnections {
		go func() { _ = Call(ctx, path, "wait", nil, nil); ended <- struct{}{} }()
	}
	for range maxConnections {
		<-begun
	}
	if err := Call(t.Context(), path, "wait", nil, nil); !errors.Is(err, ErrGone) {
		t.Errorf("one too many: %v", err)
	}
	cancel()
	for range maxConnections {
		<-ended
	}
}

// TestSlow: who does not read is let go of.
func TestSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the patience of the server")
	}
	over := make(chan error, 1)
	path, _ := serving(t, map[string]Handler{
		"pour": func(_ context.Context, _ Request, send func(any) error) (err error) {
			for err == nil {
				err = send(strings.Repeat("x", 64<<10))
			}
			over <- err
			return err
		},
	}, nil)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, `{"v":1,"request":"pour"}`)
	select {
	case err := <-over:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(4 * patience):
		t.Error("it holds the server up")
	}
}

// TestSocket: beside the state, and in the short place where that is too long.
func TestSocket(t *testing.T) {
	if p, shared := Socket("/state/a.db", "/run/user/1"); p != "/state/a.db.sock" || shared {
		t.Error(p, shared)
	}
	long := "/" + strings.Repeat("s", maxPath)
	p, shared := Socket(long, "/run/user/1")
	if filepath.Dir(p) != "/run/user/1/jetsend" || !shared {
		t.Error(p, shared)
	}
	if q, _ := Socket(long+"x", "/run/user/1"); q == p {
		t.Error("two states have one socket")
	}
	if p, _ := Socket(long, ""); p != "" {
		t.Error(p)
	}
	if p, _ := Socket(long, long); p != "" {
		t.Error(p)
	}
}

// FuzzRequest: a line is a request with a name, or an error; nothing is made of more than
// one line and of more than the bound.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		`{"v":1,"request":"status"}`, `{"v":1,"request":"status","body":{"follow":true}}`, `{"v":2,"request":"x"}`, `{"v":1}`, `{`, `[]`, `null`,
		"\n", "", `{"v":1,"request":"a","item":1,"end":null,"more":[{}]}`,
	} {
		f.Add([]byte(s + "\n" + s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := readLine(bufio.NewReaderSize(strings.NewReader(string(data)), 16), 256)
		if err != nil {
			return
		}
		if len(b) > 256 || strings.Contains(string(b), "\n") {
			t.Fatalf("a line %q", b)
		}
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if r.Name == "" {
			t.Fatal("no name")
		}
		again, err := encode(line{Request: r.Name, Body: r.Body})
		if err != nil {
			t.Fatal(err)
		}
		if q, err := parseRequest(again); err != nil || q.Name != r.Name {
			t.Fatalf("%q became %q, %v", r.Name, q.Name, err)
		}
	})
}
