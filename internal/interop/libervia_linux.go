package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// busConfig is a session bus that starts nobody by itself.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`

// liberviaCLI is its command-line interface.
const liberviaCLI = "/usr/bin/libervia-cli"

// libervia is one Libervia: its backend on a session bus of its own, worked
// through its own command-line interface, with one account.
type libervia struct {
	user   string // local part, and the name of its profile
	server *server
	dir    string

	bus, backend, receiver, sender *process
}

func (l *libervia) logPath() string { return filepath.Join(l.dir, "data", "libervia", "libervia.log") }

func (l *libervia) cliLog() string { return filepath.Join(l.dir, "cli.log") }

// inbox is where it puts what it receives.
func (l *libervia) inbox() string { return filepath.Join(l.dir, "in") }

func (l *libervia) environment() []string {
	return append(homeEnvironment(l.dir), "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(l.dir, "bus"),
		"SSL_CERT_FILE="+l.server.caFile)
}

// start starts the bus and the backend, makes the profile, and returns when it
// is online and takes files.
func (l *libervia) start(ctx context.Context) error {
	if err := errors.Join(makeHome(l.dir), os.MkdirAll(l.inbox(), 0o700)); err != nil {
		return fmt.Errorf("make home of Libervia: %w", err)
	}
	if err := l.startBus(ctx); err != nil {
		return err
	}
	backend := exec.Command("/usr/bin/libervia-backend", "foreground")
	backend.Env = l.environment()
	var err error
	if l.backend, err = launch(backend, filepath.Join(l.dir, "backend.log")); err != nil {
		return err
	}
	err = poll(ctx, startTimeout, "wait for Libervia's backend", func(ctx context.Context) (bool, error) {
		if !l.backend.running() {
			return false, fmt.Errorf("it ended: %w", l.backend.err)
		}
		return l.onBus(ctx, "org.libervia.Libervia")
	})
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"profile", "create", l.user, "--jid", l.server.jid(l.user), "--xmpp-password", passwordOf(l.user), "--password", ""},
		// Else it looks for the server's SRV records, for which nobody is here.
		{"param", "set", "--profile", l.user, "Connection", "Force server", l.server.kind.ip},
		// Else a dialogue asks whether a web site may tell its address.
		{"param", "set", "--profile", l.user, "General", "allow_get_ip", "false"},
		{"profile", "connect", "--connect", "--profile", l.user, "--pwd", ""},
	} {
		if err := l.cli(ctx, args...); err != nil {
			return err
		}
	}
	receive := exec.Command(liberviaCLI, "file", "receive", "--profile", l.user, "--multiple", "--force", "--path", l.inbox())
	receive.Env = l.environment()
	l.receiver, err = launch(receive, l.cliLog())
	return err
}

// startBus starts the session bus.
func (l *libervia) startBus(ctx context.Context) error {
	config := filepath.Join(l.dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, filepath.Join(l.dir, "bus")), 0o600); err != nil {
		return fmt.Errorf("write configuration of the bus: %w", err)
	}
	var err error
	l.bus, err = launch(exec.Command("dbus-daemon", "--nofork", "--config-file="+config), filepath.Join(l.dir, "bus.log"))
	if err != nil {
		return err
	}
	return poll(ctx, startTimeout, "wait for a session bus", func(ctx context.Context) (bool, error) {
		return l.onBus(ctx, "org.freedesktop.DBus")
	})
}

// onBus reports whether a name has an owner.
func (l *libervia) onBus(ctx context.Context, name string) (bool, error) {
	cmd := exec.CommandContext(ctx, "dbus-send", "--session", "--print-reply=literal", "--dest=org.freedesktop.DBus",
		"/org/freedesktop/DBus", "org.freedesktop.DBus.GetNameOwner", "string:"+name)
	cmd.Env = l.environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return false, fmt.Errorf("look for %s on the bus: %w: %s", name, err, out)
	}
	return true, nil
}

// cli runs the command-line interface to its end.
func (l *libervia) cli(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, liberviaCLI, args...)
	cmd.Env = l.environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("libervia-cli %v: %w: %s", args[:2], err, out[max(0, len(out)-tailBytes):])
	}
	return nil
}

// offerPath does nothing: Libervia offers what it has, and the other end decides.
func (l *libervia) offerPath(string) error { return nil }

// sendFile has Libervia send a file. Its command-line interface waits for ever
// for the end of a file that has gone before it asks, so nobody waits for it.
func (l *libervia) sendFile(_ context.Context, path, to string) error {
	l.sender.stop()
	send := exec.Command(liberviaCLI, "file", "send", "--profile", l.user, path, to)
	send.Env = l.environment()
	var err error
	l.sender, err = launch(send, l.cliLog())
	return err
}

// close ends everything of it.
func (l *libervia) close() {
	l.sender.stop()
	l.receiver.stop()
	l.backend.stop()
	l.bus.stop()
}
