package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	// base is where everything of a run lives, inside the enclosure's own /tmp.
	// Short, because file names are typed into a dialogue key by key.
	base = "/tmp/i"
	// tmpSize bounds the memory that a run's files may take.
	tmpSize = "size=1g,mode=1777"
	// exitSignalled is the status when a signal ended the run.
	exitSignalled = 130
)

// runEnclosed runs this program once more with the same arguments as the first
// process of new namespaces and returns its exit status. When either of the two
// dies, the kernel kills everything in there.
func runEnclosed(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// The death signal is tied to the thread that forks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"-inside"}, args...)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a Ctrl+C is for this process, which kills that one
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitPassed
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "interop: stopped")
		return exitSignalled
	case errors.As(err, &exit):
		return max(exit.ExitCode(), exitFailed)
	}
	fmt.Fprintf(stderr, "interop: start in namespaces of its own: %v\n", err)
	return exitUsage
}

// enclosure is what the machine outside gave in before its /tmp was covered.
type enclosure struct {
	jetsend string   // copy of the program under test, "" when there is none
	logs    *os.Root // directory outside for logs, nil when none is wanted
}

// enter prepares the namespaces that this process was started in.
func enter(ctx context.Context, o options) (*enclosure, error) {
	if os.Getpid() != 1 {
		return nil, errors.New("-inside is for the first process of new namespaces")
	}
	program, err := os.ReadFile(o.jetsend)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the program under test: %w", err)
	}
	e := &enclosure{}
	if o.logs != "" {
		if e.logs, err = os.OpenRoot(o.logs); err != nil {
			return nil, fmt.Errorf("open directory for logs: %w", err)
		}
	}
	// Nothing mounted here may reach the namespace that we come from.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return nil, fmt.Errorf("mount proc: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/tmp", "tmpfs", 0, tmpSize); err != nil {
		return nil, fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("make base directory: %w", err)
	}
	if err := bringUpLoopback(ctx); err != nil {
		return nil, err
	}
	if len(program) > 0 {
		e.jetsend = filepath.Join(base, "jetsend")
		if err := os.WriteFile(e.jetsend, program, 0o755); err != nil {
			return nil, fmt.Errorf("copy the program under test: %w", err)
		}
	}
	return e, nil
}

// bringUpLoopback makes the enclosure's only network interface work. It gets a
// second address, because with nothing but 127.0.0.1 the C library finds no
// host for a program that asks for usable addresses (AI_ADDRCONFIG), as Dino does.
func bringUpLoopback(ctx context.Context) error {
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"address", "add", "127.0.0.2/8", "dev", "lo"}} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("bring loopback up: %w: %s", err, out)
		}
	}
	return nil
}

// nameHosts makes the servers' names resolve, and nothing else: a look-up over
// DNS is refused at once by an address where nobody listens.
func nameHosts() error {
	text := "127.0.0.1 localhost\n::1 localhost\n"
	for _, k := range serverKinds() {
		text += fmt.Sprintf("%s %s proxy.%s\n", k.ip, k.domain, k.domain)
	}
	if err := cover("/etc/hosts", text); err != nil {
		return err
	}
	return cover("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
}

// cover puts a file of our own over one of the machine's.
func cover(path, text string) error {
	// A link, as resolv.conf often is, must be followed to what can be covered.
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("find %s: %w", path, err)
	}
	own := filepath.Join(base, strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "-"))
	if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", own, err)
	}
	if err := syscall.Mount(own, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", path, err)
	}
	return nil
}

// certStore is the directory that covers the machine's certificate store.
const certStore = base + "/certs"

// coverCertificates hides the authorities that the machine trusts, for clients
// that know no other place for them (Dino, by GnuTLS).
func coverCertificates() error {
	const store = "/etc/ssl/certs"
	if err := os.MkdirAll(certStore, 0o755); err != nil {
		return fmt.Errorf("make certificate store: %w", err)
	}
	if err := syscall.Mount(certStore, store, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", store, err)
	}
	return nil
}

// trust adds the authorities in a PEM file to those trusted in the enclosure.
// Programs that are running already may not see it.
func trust(caFile string) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("read authority: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(certStore, "ca-certificates.crt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open certificate store: %w", err)
	}
	_, err = f.Write(pem)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write certificate store: %w", err)
	}
	return nil
}
