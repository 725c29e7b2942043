package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// ErrNobody means that nobody listens on the socket.
var ErrNobody = errors.New("nobody listens on the local socket")

// Call asks for something at the socket at path, and gives each item of the answer to take,
// until the end of the answer, of ctx, or an error of take. Without an answer the error is
// [ErrNobody], [ErrGone] when it is cut short, an *[Error] when the other end has one. When
// ctx ends the other end is told the cause, and take is given what it has to say to that, if
// it had said anything before: for a few seconds at most.
func Call(ctx context.Context, path, name string, body any, take func(item json.RawMessage) error) error {
	var d net.Dialer
	dialled, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w: %w", ErrNobody, err)
	}
	defer func() { _ = dialled.Close() }()
	conn, ok := dialled.(*net.UnixConn)
	if !ok {
		return ErrNobody
	}
	if err := checkPeer(conn); err != nil {
		return err
	}
	var heard atomic.Bool
	defer context.AfterFunc(ctx, func() { leave(conn, context.Cause(ctx), heard.Load()) })()
	err = call(conn, name, body, func(item json.RawMessage) error {
		heard.Store(true)
		return take(item)
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// leave tells the other end why nothing more is wanted, and has it come to its end.
func leave(conn *net.UnixConn, cause error, heard bool) {
	b, err := encode(line{End: &end{Error: cause.Error()}})
	if err != nil || !heard {
		_ = conn.Close() // which it notices
		return
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(b); err != nil {
		_ = conn.Close()
	}
}

func call(conn *net.UnixConn, name string, body any, take func(json.RawMessage) error) error {
	l := line{Request: name}
	var err error
	if body != nil {
		if l.Body, err = json.Marshal(body); err != nil {
			return err
		}
	}
	b, err := encode(l)
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(patience)) // a closed connection fails in Write
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	in := bufio.NewReader(conn)
	for {
		b, err := readLine(in, MaxAnswer)
		if errors.Is(err, ErrTooLong) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrGone, err)
		}
		l, err := parse(b)
		switch {
		case err != nil:
			return err
		case l.End != nil && l.End.Error != "":
			return &Error{Code: l.End.Code, Text: l.End.Error, Hints: l.End.Hints}
		case l.End != nil:
			return nil
		}
		if err := take(l.Item); err != nil {
			return err
		}
	}
}
