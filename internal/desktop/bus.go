//go:build !darwin && !windows

package desktop

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Address returns the address of the session bus, and nothing where there is no session:
// no bus is ever started for this, nor spoken to over a network.
func Address(env func(string) string) string {
	if list := env("DBUS_SESSION_BUS_ADDRESS"); list != "" {
		var local []string
		for _, a := range strings.Split(list, ";") {
			if strings.HasPrefix(a, "unix:") {
				local = append(local, a)
			}
		}
		return strings.Join(local, ";")
	}
	if dir := env("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		bus := filepath.Join(dir, "bus")
		if info, err := os.Stat(bus); err == nil && info.Mode()&fs.ModeSocket != 0 {
			return "unix:path=" + dbus.EscapeBusAddressValue(bus)
		}
	}
	return ""
}

// send connects to the bus and has the desktop show messages.
func (n *Notifier) send(ctx context.Context, messages []Message) error {
	conn, err := dbus.Dial(n.address, dbus.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()                         // what was shown stays
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // wakes what has no context
	if err := conn.Auth(nil); err != nil {
		return err
	}
	if err := conn.Hello(); err != nil {
		return err
	}
	desk := conn.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications")
	for _, m := range messages {
		hints := map[string]dbus.Variant{"category": dbus.MakeVariant(m.Category), "desktop-entry": dbus.MakeVariant("jetsend")}
		call := desk.CallWithContext(ctx, "org.freedesktop.Notifications.Notify", 0,
			"jetsend", uint32(0), "", m.Summary, m.Body, []string{}, hints, int32(-1))
		if call.Err != nil {
			return call.Err
		}
	}
	return nil
}
