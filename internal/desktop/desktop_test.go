//go:build !darwin && !windows

package desktop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"jetsend/internal/desktop/desktoptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus starts a session bus of its own.
func bus(t *testing.T) (address string) {
	t.Helper()
	address, stop, err := desktoptest.Bus(t.TempDir())
	if errors.Is(err, desktoptest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return address
}

// TestNotify: the desktop is told, with the words of others as words, also of what happened
// last.
func TestNotify(t *testing.T) {
	address := bus(t)
	shown := make(chan desktoptest.Shown, 10)
	stop, err := desktoptest.Sit(address, func(s desktoptest.Shown) { shown <- s })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	n := New(Address(func(name string) string {
		return map[string]string{"DBUS_SESSION_BUS_ADDRESS": "tcp:host=127.0.0.1,port=1;" + address}[name]
	}), slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(ctx) }()
	n.Notify(Message{Summary: "File received", Body: "<b>a</b> & \x1b[1m\u202e'x'.iso\nfrom romeo", Category: "transfer.complete"})
	got := <-shown
	if got.App != "jetsend" || got.Summary != "File received" || got.Category != "transfer.complete" || strings.ContainsAny(got.Body, "<>'\x1b\n\u202e") || !strings.HasPrefix(got.Body, "&lt;b&gt;a&lt;/b&gt; &amp; ") {
		t.Errorf("%+v", got)
	}
	for i := range maxWaiting + 20 {
		n.Notify(Message{Summary: "File received", Body: fmt.Sprint(i)})
	}
	cancel()
	<-done
	if got := <-shown; got.Summary != "File received (84)" || got.Body != "0\n1\n2\n3\n4\nand 79 more" {
		t.Errorf("%+v", got)
	}
}

// TestNobody: a bus without a desktop, one that says nothing and none at all keep nobody waiting.
func TestNobody(t *testing.T) {
	silent := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, address := range map[string]string{"no desktop": bus(t), "silent": "unix:path=" + silent, "gone": "unix:path=" + silent + "x"} {
		t.Run(name, func(t *testing.T) {
			n := New(address, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range 2 * maxWaiting {
				n.Notify(Message{Summary: "s"})
			}
			begun := time.Now()
			n.Run(ctx)
			if took := time.Since(begun); took > 2*patience {
				t.Errorf("it took %s", took)
			}
		})
	}
	var none *Notifier
	none.Notify(Message{})
	none.Run(t.Context())
}

// TestAddress: there is a session, or there is none.
func TestAddress(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{}
	address := func() string { return Address(func(k string) string { return env[k] }) }
	if a := address(); a != "" {
		t.Error(a)
	}
	env["XDG_RUNTIME_DIR"] = dir
	if a := address(); a != "" {
		t.Error(a)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a := address(); a != "unix:path="+dbus.EscapeBusAddressValue(filepath.Join(dir, "bus")) {
		t.Error(a)
	}
	env["DBUS_SESSION_BUS_ADDRESS"] = "unixexec:path=/bin/sh;autolaunch:"
	if a := address(); a != "" || New(a, nil) != nil {
		t.Error(a)
	}
}
