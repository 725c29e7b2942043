package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tool is a program, or a file, that the rig needs and the Debian package that brings it.
type tool struct{ program, pkg string }

// tools are all of them.
func tools() []tool {
	return []tool{
		{"prosody", "prosody"},
		{"erl", "erlang-base"},
		{"ejabberdctl", "ejabberd"}, // only a sign that its libraries are there
		{"dino-im", "dino-im"},
		{"Xvfb", "xvfb"},
		{"openbox", "openbox"},
		{"xdotool", "xdotool"},
		{"gcc", "gcc"},
		{"ip", "iproute2"},
		{"/usr/share/lua/5.1/luaevent.lua", "lua-event"}, // Prosody's other network backend
	}
}

// debianPackages are the packages for apt-get: those of the tools, and what
// they need beside themselves: headers for gcc, icons for Dino, and a certificate
// store to cover.
func debianPackages() []string {
	var list []string
	for _, t := range tools() {
		list = append(list, t.pkg)
	}
	return append(list, "libc6-dev", "adwaita-icon-theme", "ca-certificates")
}

// policyFile keeps Debian's packages from starting services while it exists
// and exits 101 (invoke-rc.d(8)).
const policyFile = "/usr/sbin/policy-rc.d"

// checkMachine reports what the machine lacks, or installs it when asked.
func checkMachine(ctx context.Context, install bool, stderr io.Writer) error {
	missing := missingTools()
	if len(missing) == 0 {
		return nil
	}
	hint := "apt-get install -y --no-install-recommends " + strings.Join(debianPackages(), " ")
	if !install {
		return fmt.Errorf("missing %s; run interop -install as root, or: %s", strings.Join(missing, ", "), hint)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing %s and not root; run as root: %s", strings.Join(missing, ", "), hint)
	}
	if err := installPackages(ctx, stderr); err != nil {
		return err
	}
	if missing = missingTools(); len(missing) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(missing, ", "))
	}
	return nil
}

func missingTools() []string {
	var missing []string
	for _, t := range tools() {
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

// installPackages runs apt-get, with a policy that lets no service start.
func installPackages(ctx context.Context, stderr io.Writer) (err error) {
	f, err := os.OpenFile(policyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	switch {
	case err == nil:
		_, err = f.WriteString("#!/bin/sh\nexit 101\n")
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", policyFile, err)
		}
		defer func() { err = errors.Join(err, os.Remove(policyFile)) }()
	case !errors.Is(err, os.ErrExist): // somebody else's policy stays
		return fmt.Errorf("write %s: %w", policyFile, err)
	}
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, debianPackages()...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = stderr, stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[0], err)
		}
	}
	return nil
}
