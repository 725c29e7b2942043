package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/xmpptest/child"
)

const (
	sshStart = 5 * time.Second // a private sshd listens after some 50 ms
	sshPoll  = 20 * time.Millisecond
	// separationDir is where Debian's sshd, started as root, wants an empty
	// directory; the service makes it, and without the service we do.
	separationDir = "/run/sshd"
)

var errNoSSH = errors.New("no private sshd (apt-get install -y --no-install-recommends openssh-server openssh-client)")

// sshd is a private ssh server on loopback for the current user alone.
type sshd struct {
	dir, port string
	proc      *child.Process
	cleanup   string // directory to remove at the end
}

// startSSH makes keys and a configuration in dir and starts an sshd there.
func startSSH(ctx context.Context, dir, path string) (_ *sshd, err error) {
	program := ""
	for _, p := range append(filepath.SplitList(path), "/usr/sbin", "/usr/local/sbin") {
		if _, err := os.Stat(filepath.Join(p, "sshd")); err == nil {
			program = filepath.Join(p, "sshd") // sshd insists on its absolute path
			break
		}
	}
	if program == "" {
		return nil, errNoSSH
	}
	s := &sshd{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd := exec.Command(program, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	cmd.Stderr = &out
	if s.proc, err = child.Start(cmd); err != nil {
		return nil, err
	}
	if err := s.wait(ctx); err != nil {
		s.proc.Kill()
		return nil, fmt.Errorf("%w: %s", err, &out)
	}
	return s, nil
}

func (s *sshd) prepare(ctx context.Context) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for _, name := range []string{"host", "user"} {
		cmd := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %w: %s", errNoSSH, err, out)
		}
	}
	if os.Getuid() == 0 {
		if err := os.Mkdir(separationDir, 0o755); err == nil {
			s.cleanup = separationDir
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("look for a port: %w", err)
	}
	_, s.port, _ = net.SplitHostPort(l.Addr().String()) // from the kernel
	if err := l.Close(); err != nil {
		return fmt.Errorf("free the port: %w", err)
	}
	config := strings.NewReplacer("DIR", s.dir, "PORT", s.port).Replace(`ListenAddress 127.0.0.1
Port PORT
HostKey DIR/host
AuthorizedKeysFile DIR/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
`)
	if err := os.WriteFile(filepath.Join(s.dir, "sshd_config"), []byte(config), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// wait returns when the server lets this user in.
func (s *sshd) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sshStart)
	defer cancel()
	tick := time.NewTicker(sshPoll)
	defer tick.Stop()
	var d net.Dialer
	for {
		if c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+s.port); err == nil {
			_ = c.Close() // only a look
			break
		}
		select {
		case <-tick.C:
		case <-s.proc.Done():
			return fmt.Errorf("sshd ended by itself: %w", s.proc.Wait())
		case <-ctx.Done():
			return fmt.Errorf("wait for sshd: %w", ctx.Err())
		}
	}
	who, err := user.Current()
	if err != nil {
		return fmt.Errorf("ask who we are: %w", err)
	}
	args := append(s.args("-p"), who.Username+"@127.0.0.1", "true")
	if out, err := exec.CommandContext(ctx, "ssh", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("try sshd: %w: %s", err, out)
	}
	return nil
}

// args are options for ssh and scp; portFlag is how the program names the port.
func (s *sshd) args(portFlag string) []string {
	return []string{
		"-F", "none", "-i", filepath.Join(s.dir, "user"), portFlag, s.port,
		"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
	}
}

// scp copies with the cipher, "" for the default.
func (s *sshd) scp(cipher string) func(ctx context.Context, file, inbox string) (sample, error) {
	return func(ctx context.Context, file, inbox string) (sample, error) {
		args, what := append(s.args("-P"), "-q"), "scp"
		if cipher != "" {
			args, what = append(args, "-c", cipher), "scp "+cipher
		}
		cmd := exec.CommandContext(ctx, "scp", append(args, file, "127.0.0.1:"+inbox+"/")...)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return sample{}, fmt.Errorf("scp: %w: %s", err, out)
		}
		return sample{what: what, wall: time.Since(begin)}, nil
	}
}

func (s *sshd) close() error {
	var err error
	if s.proc != nil {
		err = s.proc.Stop(sshStart)
		s.proc = nil
	}
	if s.cleanup != "" {
		err = errors.Join(err, os.Remove(s.cleanup))
		s.cleanup = ""
	}
	return err
}
