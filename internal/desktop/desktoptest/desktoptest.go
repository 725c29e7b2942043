// Package desktoptest is a session bus with a desktop that shows nothing, for tests.
package desktoptest

import (
	"bufio"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/godbus/dbus/v5"
)

// ErrMissing means that there is no dbus-daemon on this machine.
var ErrMissing = errors.New("there is no dbus-daemon")

// Bus starts a session bus with its socket in a directory.
func Bus(dir string) (address string, stop func(), err error) {
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		return "", nil, ErrMissing
	}
	cmd := exec.Command(daemon, "--session", "--print-address", "--nofork", "--nopidfile", "--address=unix:path="+filepath.Join(dir, "bus"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, err
	}
	return strings.TrimSpace(line), stop, nil
}

// Shown is what a desktop was asked to show.
type Shown struct {
	App, Summary, Body, Category string
}

// Desktop shows nothing, and has show called instead.
type Desktop struct{ show func(Shown) }

// Notify implements the method of the specification.
func (d Desktop) Notify(app string, _ uint32, _, summary, body string, _ []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	category, _ := hints["category"].Value().(string)
	d.show(Shown{app, summary, body, category})
	return 1, nil
}

// Sit puts a desktop on a bus, until stop is called.
func Sit(address string, show func(Shown)) (stop func(), err error) {
	conn, err := dbus.Connect(address)
	if err != nil {
		return nil, err
	}
	const name = "org.freedesktop.Notifications"
	err = conn.Export(Desktop{show}, "/org/freedesktop/Notifications", name)
	if err == nil {
		_, err = conn.RequestName(name, dbus.NameFlagDoNotQueue)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() { _ = conn.Close() }, nil
}
