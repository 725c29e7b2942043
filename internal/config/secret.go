package config

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

const (
	// maxSecret bounds what a source of a password may give: far more than any
	// password, far less than a mistaken path to a disk image.
	maxSecret = 64 << 10
	// secretTime is how long a source of a password may take: a person may have to
	// unlock it, or to type. It is as long as sudo waits.
	secretTime = 5 * time.Minute
	// commandGrace is how long a process that a password command leaves behind, or
	// that does not die with it, may hold on to its output.
	commandGrace = time.Second
)

// standardInput is the path of standard input, which - stands for.
const standardInput = "/dev/stdin"

// InputPath is the path of a file to read: - stands for standard input.
func InputPath(path string) string {
	if path == "-" {
		return standardInput
	}
	return path
}

// errSlow ends a source that takes too long.
var errSlow = errors.New("out of time")

// errLong: what a source gives is no password.
var errLong = fmt.Errorf("more than %v", Size(maxSecret))

// ErrNoKeyring is given by a [Keyring] when the machine has none that answers.
var ErrNoKeyring = errors.New("no keyring service is available")

// ErrNotInKeyring is given by a [Keyring] that holds nothing for the account.
var ErrNotInKeyring = errors.New("the keyring holds no password for this account")

// Keyring keeps passwords by bare JID. Get, Set and Delete may ask the user to
// unlock it.
type Keyring interface {
	Get(account string) (string, error)
	Set(account, password string) error
	Delete(account string) error
}

// Secrets finds the password of an account. The sources are tried in this
// order: Password and PasswordFile (the environment's), then the one that the
// account names, then Prompt. The first that is set decides; a source that
// fails is an error, never a reason to try the next.
type Secrets struct {
	Password     string // JETSEND_PASSWORD
	PasswordFile string // JETSEND_PASSWORD_FILE
	Keyring      Keyring
	// Prompt asks the user; nil when there is no terminal.
	Prompt func(ctx context.Context, account jid.JID) (string, error)
	// Stderr is where a password command may complain.
	Stderr io.Writer
	// Limit is how long a source may take; 0 is five minutes.
	Limit time.Duration
}

// Lookup returns the password of a. The answer of any source is bounded, in bytes
// and in time. Errors are of type *[Error] and never hold the secret or the output
// of a command; when ctx ends, the error is its cause.
func (s Secrets) Lookup(ctx context.Context, a *Chosen) (string, error) {
	limit := cmp.Or(s.Limit, secretTime)
	timed, cancel := context.WithTimeoutCause(ctx, limit, errSlow)
	defer cancel()
	password, err := s.lookup(timed, a)
	what := cmp.Or(s.Outside(a), "password of "+a.Addr.String())
	switch {
	case errors.Is(err, errSlow):
		return "", &Error{Msg: fmt.Sprintf("%s: nothing came within %s", what, limit)}
	case err != nil:
		return "", err
	case len(password) > maxSecret:
		return "", &Error{Msg: what, Err: errLong}
	}
	return password, nil
}

// File is the file that Lookup would read, and the name of the variable or key that
// says so; "" when there is none.
func (s Secrets) File(a *Chosen) (name, path string) {
	switch name = s.Outside(a); name {
	case passwordFileVar:
		return name, s.PasswordFile
	case passwordFileKey:
		return name, a.PasswordFile
	}
	return "", ""
}

// The names of the sources that are files.
const (
	passwordFileVar = "JETSEND_PASSWORD_FILE"
	passwordFileKey = "password_file"
)

func (s Secrets) lookup(ctx context.Context, a *Chosen) (string, error) {
	switch {
	case s.Password != "":
		return s.Password, nil
	case s.PasswordFile != "":
		return fromFile(ctx, passwordFileVar, s.PasswordFile)
	case a.Password != "":
		return a.Password, nil
	case a.PasswordFile != "":
		return fromFile(ctx, passwordFileKey, a.PasswordFile)
	case a.PasswordCommand != "":
		return s.fromCommand(ctx, a.PasswordCommand)
	case a.Keyring:
		return s.fromKeyring(ctx, a.Addr)
	case s.Prompt != nil:
		return s.Prompt(ctx, a.Addr)
	}
	return "", &Error{
		Msg:   fmt.Sprintf("there is no password for %s, and no terminal to ask for it", a.Addr),
		Hints: []string{"set JETSEND_PASSWORD_FILE, or run `jetsend login " + clean.Argument(a.Addr.String()) + "` on a terminal"},
	}
}

// Outside tells where the password of a is kept that no login of ours replaces: the
// name of a variable or of a key of the account, and "" for one that `jetsend login`
// stores or asks for. The order is that of [Secrets.Lookup].
func (s Secrets) Outside(a *Chosen) string {
	switch {
	case s.Password != "":
		return "JETSEND_PASSWORD"
	case s.PasswordFile != "":
		return passwordFileVar
	case a.Password != "":
	case a.PasswordFile != "":
		return passwordFileKey
	case a.PasswordCommand != "":
		return "password_command"
	}
	return ""
}

// patient returns what read does, or the cause of the end of ctx. Nothing wakes the
// opening of a FIFO that nobody writes to, or a keyring that waits for its user: the
// goroutine that is left then ends with the process.
func patient(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func fromFile(ctx context.Context, what, file string) (string, error) {
	password, err := patient(ctx, func() (_ string, err error) {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // only read
		return firstLine(f)
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return "", &Error{Msg: what, Err: err}
	case password == "":
		return "", &Error{Msg: fmt.Sprintf("%s: the first line of %s is empty", what, file)}
	}
	return password, nil
}

// fromCommand takes what the command itself wrote, and its exit status. A process
// that it leaves behind, such as an agent, is not waited for.
func (s Secrets) fromCommand(ctx context.Context, line string) (string, error) {
	var out output
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, s.Stderr, commandGrace
	if f, ok := s.Stderr.(*os.File); ok {
		cmd.Stderr = f // no copying goroutine for a real file
	}
	err := cmd.Run()
	what := fmt.Sprintf("password_command %q", line)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case out.full:
		return "", &Error{Msg: what, Err: errLong}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", &Error{Msg: what, Err: err}
	}
	password, err := firstLine(bytes.NewReader(out.b))
	if err == nil && password == "" {
		err = errors.New("printed no password")
	}
	if err != nil {
		return "", &Error{Msg: what, Err: err}
	}
	return password, nil
}

// output is what a command wrote. It takes no more than a password may have: what
// writes for ever learns that nobody reads.
type output struct {
	b    []byte
	full bool
}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	if len(o.b)+len(p) > maxSecret {
		o.full = true
		return 0, errLong
	}
	o.b = append(o.b, p...)
	return len(p), nil
}

func (s Secrets) fromKeyring(ctx context.Context, account jid.JID) (string, error) {
	err := ErrNoKeyring
	if s.Keyring != nil {
		var password string
		password, err = patient(ctx, func() (string, error) { return s.Keyring.Get(account.String()) })
		if err == nil || ctx.Err() != nil {
			return password, err
		}
	}
	return "", &Error{
		Msg: fmt.Sprintf("password of %s", account), Err: err,
		Hints: []string{"run `jetsend login " + clean.Argument(account.String()) + "`, or set JETSEND_PASSWORD_FILE"},
	}
}

// firstLine reads up to the first line end, as `pass` and most password stores
// keep the password on the first line.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret+1)).ReadString('\n')
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	case len(line) > maxSecret:
		return "", errLong
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
