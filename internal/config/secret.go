package config

import (
	"bytes"
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

// maxSecret bounds what a password file or command may give: far more than any
// password, far less than a mistaken path to a disk image.
const maxSecret = 64 << 10

// commandGrace is how long a cancelled password command may take to die
// before its pipes are closed.
const commandGrace = 2 * time.Second

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
}

// Lookup returns the password of a. Errors are of type *[Error] and never
// hold the secret or the output of a command.
func (s Secrets) Lookup(ctx context.Context, a *Chosen) (string, error) {
	switch {
	case s.Password != "":
		return s.Password, nil
	case s.PasswordFile != "":
		return fromFile("JETSEND_PASSWORD_FILE", s.PasswordFile)
	case a.Password != "":
		return a.Password, nil
	case a.PasswordFile != "":
		return fromFile("password_file", a.PasswordFile)
	case a.PasswordCommand != "":
		return s.fromCommand(ctx, a.PasswordCommand)
	case a.Keyring:
		return s.fromKeyring(a.Addr)
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
		return "JETSEND_PASSWORD_FILE"
	case a.Password != "":
	case a.PasswordFile != "":
		return "password_file"
	case a.PasswordCommand != "":
		return "password_command"
	}
	return ""
}

func fromFile(what, file string) (string, error) {
	data, err := readBounded(file, maxSecret)
	if err != nil {
		return "", &Error{Msg: what, Err: err}
	}
	password := firstLine(data)
	if password == "" {
		return "", &Error{Msg: fmt.Sprintf("%s: the first line of %s is empty", what, file)}
	}
	return password, nil
}

func (s Secrets) fromCommand(ctx context.Context, line string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Stderr, cmd.WaitDelay = s.Stderr, commandGrace
	if f, ok := s.Stderr.(*os.File); ok {
		cmd.Stderr = f // no copying goroutine for a real file
	}
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", &Error{Msg: fmt.Sprintf("password_command %q", line), Err: err}
	}
	password := firstLine(out[:min(len(out), maxSecret)])
	if password == "" {
		return "", &Error{Msg: fmt.Sprintf("password_command %q printed no password", line)}
	}
	return password, nil
}

func (s Secrets) fromKeyring(account jid.JID) (string, error) {
	err := ErrNoKeyring
	if s.Keyring != nil {
		var password string
		if password, err = s.Keyring.Get(account.String()); err == nil {
			return password, nil
		}
	}
	return "", &Error{
		Msg: fmt.Sprintf("password of %s", account), Err: err,
		Hints: []string{"run `jetsend login " + clean.Argument(account.String()) + "`, or set JETSEND_PASSWORD_FILE"},
	}
}

// firstLine cuts at the first line end, as `pass` and most password stores
// keep the password on the first line.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r")
}
