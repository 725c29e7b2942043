package xmpptest

import (
	"context"
	"os/exec"
	"time"
)

// Software names the program that a [Server] runs.
type Software string

// The servers of the harness.
const (
	Prosody  Software = "prosody" // also what the zero value stands for
	Ejabberd Software = "ejabberd"
	// ProsodySASL2 is Prosody that offers XEP-0388 with Bind 2 and FAST, by the community's
	// modules, which have to be there ([ErrNoModules]).
	ProsodySASL2 Software = "prosody-sasl2"
)

// backend is what a [Server] has to know about its program. Its calls come one
// at a time.
type backend interface {
	// prepare writes everything into the server's directory that does not
	// depend on addresses.
	prepare(o Options) error
	// configure writes the configuration for the addresses.
	configure(e endpoints, o Options) error
	// command is the program, which stays in the foreground and obeys SIGTERM.
	command() *exec.Cmd
	// limits are how long a start and a stop may take.
	limits() (start, stop time.Duration)
	// logs are the files that it logs to, in the server's directory.
	logs() []string
	// portTaken tells from what was logged whether a start failed because
	// somebody else has one of the ports.
	portTaken(log string) bool
	// addAccount makes or changes an account.
	addAccount(ctx context.Context, user, password string) error
	// link enters a user into the roster of another, as mutually subscribed.
	link(ctx context.Context, user, contact string) error
}
