package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// tool is a program that is needed, and the Debian package that brings it.
type tool struct{ program, pkg string }

// tools are what a run needs.
func tools(o options) []tool {
	list := []tool{{"ip", "iproute2"}, {"nft", "nftables"}, {"miniupnpd", "miniupnpd-nftables"}}
	if o.server != serverEjabberd {
		list = append(list, tool{"prosody", "prosody"}, tool{"turnserver", "coturn"})
	}
	if o.server != serverProsody {
		list = append(list, tool{"erl", "erlang-base"}, tool{"ejabberdctl", "ejabberd"})
	}
	return list
}

// unable says why this machine can run nothing of this, whatever is installed.
func unable() string {
	if os.Geteuid() != 0 {
		return "it needs root, for network namespaces and nftables"
	}
	// A program that only says whether it could be started with namespaces of its own.
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if err := cmd.Run(); err != nil {
		return fmt.Sprintf("no namespaces here: %v", err)
	}
	return ""
}

// missing are the packages whose programs are not here.
func missing(o options) []string {
	var packages []string
	for _, t := range tools(o) {
		if lookPath(t.program) == "" {
			packages = append(packages, t.pkg)
		}
	}
	return packages
}

// lookPath finds a program also where only root looks for it.
func lookPath(program string) string {
	for _, dir := range append(strings.Split(os.Getenv("PATH"), ":"), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(dir + "/" + program); err == nil {
			return path
		}
	}
	return ""
}

// policyFile keeps Debian's packages from starting services while it exists
// and exits 101 (invoke-rc.d(8)).
const policyFile = "/usr/sbin/policy-rc.d"

// checkMachine reports what the machine lacks, or installs it when asked.
func checkMachine(ctx context.Context, o options, stderr io.Writer) error {
	packages := missing(o)
	if len(packages) == 0 {
		return nil
	}
	if !o.install {
		return fmt.Errorf("missing packages; run natlab -install, or: apt-get install -y --no-install-recommends %s", strings.Join(packages, " "))
	}
	fmt.Fprintf(stderr, "installing %s\n", strings.Join(packages, " "))
	if err := installPackages(ctx, packages); err != nil {
		return err
	}
	if packages = missing(o); len(packages) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(packages, ", "))
	}
	return nil
}

// installPackages runs apt-get, with a policy that lets no service start.
func installPackages(ctx context.Context, packages []string) (err error) {
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
		slices.Concat([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, out)
		}
	}
	return nil
}
