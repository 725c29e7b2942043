package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"jetsend/internal/xmpptest/enclosed"
)

// Clients that cells need, beside jetsend.
const (
	clientDino     = "" // all that need no other
	clientLibervia = "libervia"
	clientGajim    = "gajim"
)

// tool is a program, or a file, that the rig needs for a client and the Debian
// package that brings it.
type tool struct{ client, program, pkg string }

// everybody is the client of what every cell needs.
const everybody = "*"

// tools are all of them.
func tools() []tool {
	return []tool{
		{everybody, "prosody", "prosody"},
		{everybody, "erl", "erlang-base"},
		{everybody, "ejabberdctl", "ejabberd"}, // only a sign that its libraries are there
		{everybody, "ip", "iproute2"},
		{everybody, "/usr/share/lua/5.1/luaevent.lua", "lua-event"},          // Prosody's other network backend
		{everybody, "/etc/ssl/certs/ca-certificates.crt", "ca-certificates"}, // a certificate store to cover
		{clientDino, "dino-im", "dino-im"},
		{clientDino, "Xvfb", "xvfb"},
		{clientDino, "openbox", "openbox"},
		{clientDino, "xdotool", "xdotool"},
		{clientDino, "gcc", "gcc"},
		{clientDino, "/usr/include/ifaddrs.h", "libc6-dev"},
		{clientDino, "/usr/share/icons/Adwaita/index.theme", "adwaita-icon-theme"},
		{clientGajim, "/usr/lib/python3/dist-packages/gajim/gtk/application.py", "gajim"},
		{clientGajim, "Xvfb", "xvfb"},
		{clientLibervia, "/usr/bin/libervia-backend", "libervia-backend"},
		{clientLibervia, liberviaCLI, "libervia-cli"},
		{clientLibervia, "dbus-daemon", "dbus-daemon"},
		{clientLibervia, "dbus-send", "dbus-bin"},
	}
}

// toolsFor are the tools that some cells need.
func toolsFor(cells []cell) []tool {
	clients := map[string]bool{everybody: true}
	for _, c := range cells {
		clients[c.needs] = true
	}
	return slices.DeleteFunc(tools(), func(t tool) bool { return !clients[t.client] })
}

// debianPackages are the packages for apt-get.
func debianPackages(cells []cell) []string {
	var list []string
	for _, t := range toolsFor(cells) {
		if !slices.Contains(list, t.pkg) {
			list = append(list, t.pkg)
		}
	}
	return list
}

// checkMachine reports what the machine lacks, or installs it when asked.
func checkMachine(ctx context.Context, cells []cell, install bool, stderr io.Writer) error {
	missing := missingTools(cells)
	if len(missing) == 0 {
		return nil
	}
	hint := "apt-get install -y --no-install-recommends " + strings.Join(debianPackages(cells), " ")
	if !install {
		return fmt.Errorf("missing %s; run interop -install as root, or: %s", strings.Join(missing, ", "), hint)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing %s and not root; run as root: %s", strings.Join(missing, ", "), hint)
	}
	if err := enclosed.Install(ctx, debianPackages(cells), stderr); err != nil {
		return err
	}
	if missing = missingTools(cells); len(missing) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(missing, ", "))
	}
	return nil
}

func missingTools(cells []cell) []string {
	var missing []string
	for _, t := range toolsFor(cells) {
		_, err := exec.LookPath(t.program)
		if filepath.IsAbs(t.program) { // a library
			_, err = os.Stat(t.program)
		}
		if err != nil {
			missing = append(missing, t.program)
		}
	}
	return missing
}
