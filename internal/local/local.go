// Package local is how the programs of one user on one machine speak to a run that goes
// on: over a socket in the file system, which only that user can reach, with one request
// for each connection and any number of answers.
//
// All that is said is JSON, an object a line. The request is
//
//	{"v":1,"request":"NAME","body":{…}}
//
// and is followed by any number of items and one end:
//
//	{"v":1,"item":{…}}
//	{"v":1,"end":{}}                                       all was told
//	{"v":1,"end":{"code":2,"error":"…","hints":["…"]}}     it came to nothing
//
// Who has asked and wants no more may say so in an end of its own, with the reason, and
// waits for the other one. A connection that breaks before the end says that the other side
// has gone. Members that
// are not known are skipped, a request that is not known ends in an error: so both sides
// may be of different versions. v changes when that does not suffice.
package local

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the "v" of every line.
const Version = 1

const (
	// MaxRequest bounds the line of a request, in bytes.
	MaxRequest = 64 << 10
	// MaxAnswer bounds a line of an answer.
	MaxAnswer = 4 << 20
	// maxConnections bounds those that are served at once. Each is of our own user.
	maxConnections = 16
	// patience is how long a request may take to come, and an answer to be taken: who
	// does not read is let go of, and holds nothing up.
	patience = 5 * time.Second
)

// Errors of a line; use [errors.Is].
var (
	// ErrTooLong: a line is longer than it may be.
	ErrTooLong = errors.New("the line is too long")
	// ErrVersion: the other end speaks another version of this.
	ErrVersion = errors.New("the other jetsend speaks another version of the local protocol")
	// ErrGone: the connection broke before all was told.
	ErrGone = errors.New("the other jetsend has gone")
)

// Request is what is asked for.
type Request struct {
	Name string          // of the handler
	Body json.RawMessage // what that makes of it; may be empty
}

// Error is how a request came to nothing, as the other end said.
type Error struct {
	Code  int // exit code
	Text  string
	Hints []string
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// line is everything that is ever said.
type line struct {
	V       int             `json:"v"`
	Request string          `json:"request,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
	Item    json.RawMessage `json:"item,omitempty"`
	End     *end            `json:"end,omitempty"`
}

type end struct {
	Code  int      `json:"code,omitempty"`
	Error string   `json:"error,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

// parse reads a line.
func parse(b []byte) (l line, err error) {
	if err := json.Unmarshal(b, &l); err != nil {
		return line{}, fmt.Errorf("the line is not JSON: %w", err)
	}
	if l.V != Version {
		return line{}, fmt.Errorf("%w: %d", ErrVersion, l.V)
	}
	return l, nil
}

// parseRequest reads a request.
func parseRequest(b []byte) (Request, error) {
	l, err := parse(b)
	if err == nil && l.Request == "" {
		err = errors.New("the line has no request")
	}
	if err != nil {
		return Request{}, err
	}
	return Request{Name: l.Request, Body: l.Body}, nil
}

// readLine reads a line of at most so many bytes, without its end.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var all []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(all)+len(part) > most {
			return nil, ErrTooLong
		}
		all = append(all, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(all, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// encode writes a line.
func encode(l line) ([]byte, error) {
	l.V = Version
	b, err := json.Marshal(l)
	if err == nil && len(b) >= MaxAnswer {
		err = ErrTooLong
	}
	return append(b, '\n'), err
}
