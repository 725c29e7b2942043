package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// screenSize is large enough for Dino to show a conversation beside the list.
const screenSize = "1000x700x24"

// startTimeout bounds the start of a display, of a client on it, or of one's
// next step; Libervia takes some 5 s on an idle machine.
const startTimeout = 90 * time.Second

// debianPath is where Debian's own programs are found, and none that somebody
// has put before them: its clients are scripts for its own Python.
const debianPath = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

// screen is an X display of its own and a home for the programs on it.
type screen struct {
	dir     string
	display string // ":0"
	server  *process
}

// openScreen starts the display.
func openScreen(dir string) (*screen, error) {
	if err := makeHome(dir); err != nil {
		return nil, err
	}
	number, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer func() { _ = number.Close() }()
	// The server picks a free display itself, says which on descriptor 3 when it
	// is ready, and closes it.
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", screenSize, "-nolisten", "tcp", "-noreset")
	cmd.ExtraFiles = []*os.File{w}
	s := &screen{dir: dir}
	s.server, err = launch(cmd, filepath.Join(dir, "xvfb.log"))
	_ = w.Close() // the child has its own
	if err != nil {
		return nil, err
	}
	_ = number.SetReadDeadline(time.Now().Add(startTimeout))
	line, err := io.ReadAll(number)
	if err == nil && len(line) == 0 {
		err = errors.New("it ended by itself")
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start Xvfb: %w", err)
	}
	s.display = ":" + strings.TrimSpace(string(line))
	return s, nil
}

// environment is the environment of the display's programs: no session bus, and
// so no portals, no notifications, no second instance to find.
func (s *screen) environment() []string {
	return append(homeEnvironment(s.dir), "DISPLAY="+s.display, "DBUS_SESSION_BUS_ADDRESS=disabled:",
		"GSETTINGS_BACKEND=memory", "GIO_USE_VFS=local", "GDK_BACKEND=x11", "GTK_USE_PORTAL=0",
		"NO_AT_BRIDGE=1", "GTK_A11Y=none")
}

// close ends the display. A nil screen is a closed one.
func (s *screen) close() {
	if s != nil {
		s.server.stop()
	}
}

// makeHome makes the directories that homeEnvironment names.
func makeHome(dir string) error {
	for _, sub := range []string{"home", "data", "config", "cache", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return fmt.Errorf("make home: %w", err)
		}
	}
	return nil
}

// homeEnvironment is the environment of a program that has its home in dir.
func homeEnvironment(dir string) []string {
	in := func(sub string) string { return filepath.Join(dir, sub) }
	return []string{
		debianPath, "LANG=C.UTF-8", "HOME=" + in("home"), "XDG_DATA_HOME=" + in("data"),
		"XDG_CONFIG_HOME=" + in("config"), "XDG_CACHE_HOME=" + in("cache"), "XDG_RUNTIME_DIR=" + in("run"),
	}
}
