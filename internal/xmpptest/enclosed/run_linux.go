package enclosed

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

// Namespaces are those of an enclosure: mounts, network, processes, and what processes share.
const Namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC

// Exit statuses of [Run] beside those of the program.
const (
	exitFailed    = 1
	exitUsage     = 2
	exitSignalled = 130
)

// Run runs this program, which is called name, once more with the same arguments behind
// -inside, as the first process of new namespaces, and returns its exit status. When either
// of the two dies, the kernel kills everything in there.
func Run(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// The death signal is tied to the thread that forks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"-inside"}, args...)...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: Namespaces,
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
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, name+": stopped")
		return exitSignalled
	case errors.As(err, &exit):
		return max(exit.ExitCode(), exitFailed)
	}
	fmt.Fprintf(stderr, "%s: start in namespaces of its own: %v\n", name, err)
	return exitUsage
}

// Enter prepares the namespaces that this process was started in: nothing mounted in there
// reaches those that it comes from, and in the place of each of the directories is an empty
// one in memory, with options as tmpfs has them.
func Enter(options string, dirs ...string) error {
	if os.Getpid() != 1 {
		return errors.New("-inside is for the first process of new namespaces")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	for _, dir := range dirs {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			return fmt.Errorf("mount tmpfs: %w", err)
		}
	}
	return nil
}

// Cover puts a file with that text, in dir, over one of the machine's.
func Cover(dir, path, text string) error {
	// A link, as resolv.conf often is, must be followed to what can be covered.
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("find %s: %w", path, err)
	}
	own := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "-"))
	if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", own, err)
	}
	if err := syscall.Mount(own, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cover %s: %w", path, err)
	}
	return nil
}
