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
	base = "/tmp/n"
	// tmpSize bounds the memory that a run's files may take: the largest of -speed
	// is there twice.
	tmpSize = "size=3g,mode=1777"
	// exitSignalled is the status when a signal ended the run.
	exitSignalled = 130
	// namespaces are those of the enclosure.
	namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
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
		Cloneflags: namespaces,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a Ctrl+C is for this process, which kills that one
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitPassed
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "natlab: stopped")
		return exitSignalled
	case errors.As(err, &exit):
		return max(exit.ExitCode(), exitFailed)
	}
	fmt.Fprintf(stderr, "natlab: start in namespaces of its own: %v\n", err)
	return exitUsage
}

// enter prepares the namespaces that this process was started in, and returns
// the copy of the program under test that can be seen in there.
func enter(o options) (jetsend string, err error) {
	if os.Getpid() != 1 {
		return "", errors.New("-inside is for the first process of new namespaces")
	}
	program, err := os.ReadFile(o.jetsend)
	if err != nil {
		return "", fmt.Errorf("read the program under test: %w", err)
	}
	// Nothing mounted here may reach the namespace that we come from.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return "", fmt.Errorf("mount proc: %w", err)
	}
	// /run has the names of network namespaces, and the lock of xtables.
	for _, dir := range []string{"/tmp", "/run"} {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, tmpSize); err != nil {
			return "", fmt.Errorf("mount tmpfs: %w", err)
		}
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", fmt.Errorf("make base directory: %w", err)
	}
	jetsend = filepath.Join(base, "jetsend")
	if err := os.WriteFile(jetsend, program, 0o755); err != nil {
		return "", fmt.Errorf("copy the program under test: %w", err)
	}
	return jetsend, nameHosts()
}

// nameHosts makes the server's names resolve, and nothing else: a look-up over
// DNS is refused at once by the server, where nobody listens for it. It would be a
// packet that a watch sees.
func nameHosts() error {
	text := "127.0.0.1 localhost\n::1 localhost\n"
	for _, ip := range []string{serverV4, serverV6} {
		text += fmt.Sprintf("%s %s proxy.%s\n", ip, domain, domain)
	}
	for _, ip := range []string{stunV4, stunV6} {
		text += fmt.Sprintf("%s stun.%s\n", ip, domain)
	}
	if err := cover("/etc/hosts", text); err != nil {
		return err
	}
	return cover("/etc/resolv.conf", "nameserver "+serverV4+"\noptions timeout:1 attempts:1\n")
}

// cover puts a file of our own over one of the machine's.
func cover(path, text string) error {
	// A link, as resolv.conf often is, must be followed to what can be covered. One
	// into /run leads nowhere here, and so to no name server.
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
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
