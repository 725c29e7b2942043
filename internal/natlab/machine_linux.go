package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"jetsend/internal/xmpptest/enclosed"
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: enclosed.Namespaces}
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
	var said bytes.Buffer
	if err := enclosed.Install(ctx, packages, &said); err != nil {
		return fmt.Errorf("%w: %s", err, said.Bytes())
	}
	if packages = missing(o); len(packages) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(packages, ", "))
	}
	return nil
}
