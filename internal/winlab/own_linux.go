package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"jetsend/internal/exitcode"
	"jetsend/internal/xmpptest/pair"
)

// own runs the cases of what Windows has in its own way.
func (l *lab) own(ctx context.Context) {
	l.check("help environment names the directories of Windows", func() error { return l.says(ctx, "LOCALAPPDATA", "help", "environment") })
	l.check("a second receive is told of the first", func() error { return l.locked(ctx) })
	l.check("--exec runs a program", func() error { return l.exec(ctx) })
	l.check("--exec runs no batch file", func() error { return l.batch(ctx) })
	l.check("a file that has no room", func() error { return l.noRoom(ctx) })
	l.check("login on the console: %AppData%, %LocalAppData%, the password without echo", func() error { return l.login(ctx) })
	l.check("the password from the credential manager", func() error { return l.bare(ctx, exitcode.OK, "devices") })
	l.check("a question on the console, yes", func() error { return l.asked(ctx, "y\r", exitcode.OK) })
	l.check("a question on the console, no", func() error { return l.asked(ctx, "n\r", exitcode.Declined) })
	l.check("a question that is withdrawn", func() error { return l.withdrawn(ctx) })
	l.check("the bar, and Ctrl-C", func() error { return l.cancelled(ctx) })
	l.check("Ctrl-C at a question", func() error { return l.cancelledQuestion(ctx) })
	l.check("--from-command leaves no child", func() error { return l.swept(ctx) })
	l.check("logout --forget: configuration, state and password are gone", func() error { return l.logout(ctx) })
}

// windowsPath is the path of a file as Wine has it.
func windowsPath(path string) string { return "Z:" + path }

// fails waits for the end of a process, with a code, and words.
func fails(ctx context.Context, p *pair.Process, code exitcode.Code, words ...string) error {
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%v has not ended:\n%s", p.Args(), said(p))
	}
	if got := p.ExitCode(); got != int(code) {
		return fmt.Errorf("%v ended with %d instead of %d:\n%s", p.Args(), got, code, said(p))
	}
	for _, w := range words {
		if !strings.Contains(said(p), w) {
			return fmt.Errorf("no word of %q:\n%s", w, said(p))
		}
	}
	return nil
}

// locked starts a second receive of an account.
func (l *lab) locked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	r, err := l.receive(ctx, l.windows, filepath.Join(l.windows.Home, "in-locked"))
	if err != nil {
		return err
	}
	defer l.kill(ctx, r, l.windows)
	second, err := l.windows.Start("", nil, "receive", "--accept", "all")
	if err != nil {
		return err
	}
	return fails(ctx, second, exitcode.Config, "another")
}

// exec has a program run for a file.
func (l *lab) exec(ctx context.Context) error {
	if err := l.transfer(ctx, l.linux, l.windows, filepath.Join(l.dir, "set/a.txt"), "--exec", windowsPath(l.wine.probe)); err != nil {
		return err
	}
	b, err := os.ReadFile(l.wine.probe + ".said")
	if err != nil {
		return err
	}
	for _, want := range []string{"0 arguments\n", "JETSEND_NAME=a.txt", "JETSEND_FROM=" + l.linux.JID, `JETSEND_PATH=Z:\`, `"event":"received"`} {
		if !strings.Contains(string(b), want) {
			return fmt.Errorf("it was not told %q:\n%s", want, b)
		}
	}
	if strings.Contains(string(b), l.windows.Password) {
		return errors.New("it was told the password")
	}
	return nil
}

// batch would have a shell run.
func (l *lab) batch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	path := filepath.Join(l.dir, "hook.bat")
	if err := os.WriteFile(path, []byte("@echo off\r\n"), 0o700); err != nil {
		return err
	}
	p, err := l.windows.Start("", nil, "receive", "--accept", "all", "--exec", windowsPath(path))
	if err != nil {
		return err
	}
	return fails(ctx, p, exitcode.LocalFile, "name an .exe file")
}

// noRoom sends a file to where there is less room than it takes.
func (l *lab) noRoom(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	dir := filepath.Join(l.windows.Home, "in-small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		return leftOut("no file system can be mounted here: " + err.Error())
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	r, err := l.receive(ctx, l.windows, filepath.Join(dir, "in")) // Wine takes the mount itself for a link
	if err != nil {
		return err
	}
	defer l.kill(ctx, r, l.windows)
	s, err := l.linux.Start("", nil, "send", filepath.Join(l.dir, "big.bin"), l.windows.JID)
	if err != nil {
		return err
	}
	defer s.Kill()
	return fails(ctx, s, exitcode.LocalFile, "space")
}

// command is a jetsend of Windows that knows of nothing but what it was told on this
// machine: it has no variables of ours but for the server.
func (l *lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command(l.wine.wrapper, args...)
	cmd.Dir = l.windows.Home
	cmd.Env = []string{"PATH=" + l.windows.Path, "HOME=" + l.windows.Home, "TERM=xterm", "JETSEND_TLS_CA_FILE=" + l.windows.CAFile, "JETSEND_SERVER=" + l.windows.Server}
	return cmd
}

// on starts such a jetsend on a console.
func (l *lab) on(args ...string) (*console, error) { return onConsole(l.command(args...)) }

// bare runs such a jetsend without one.
func (l *lab) bare(ctx context.Context, code exitcode.Code, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	cmd := l.command(args...)
	said := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it has ended, or does
	defer stop()
	err := cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != int(code) {
		return fmt.Errorf("%v ended with %d instead of %d (%w):\n%s", args, got, code, err, said)
	}
	return nil
}

// below is a path below the one user's directory of this Windows.
func (l *lab) below(path string) (string, error) {
	all, err := filepath.Glob(filepath.Join(l.dir, "prefix/drive_c/users/*/AppData", path))
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d files are AppData/%s", len(all), path)
	}
	if err != nil {
		return "", err
	}
	return all[0], nil
}

const (
	configPath = "Roaming/jetsend/config.yaml"
	statePath  = "Local/jetsend/person@*"
)

// login tells jetsend of an account, as a person does.
func (l *lab) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	c, err := l.on("login", l.person.JID)
	if err != nil {
		return err
	}
	defer c.close()
	err = c.answer(ctx, "password of", l.person.Password+"\r")
	if err == nil {
		err = c.ends(ctx, int(exitcode.OK))
	}
	if err != nil {
		return err
	}
	if strings.Contains(c.text(), l.person.Password) {
		return fmt.Errorf("the password was shown: %q", c.text())
	}
	path, err := l.below(configPath)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text := string(b); !strings.Contains(text, "keyring: true") || !strings.Contains(text, l.person.JID) || strings.Contains(text, l.person.Password) {
		return fmt.Errorf("the configuration is not what was expected:\n%s", b)
	}
	return l.keepsState(true)
}

// keepsState looks for the state of the person.
func (l *lab) keepsState(want bool) error {
	all, err := filepath.Glob(filepath.Join(l.dir, "prefix/drive_c/users/*/AppData", statePath))
	if err == nil && len(all) > 0 != want {
		err = fmt.Errorf("the state is %q", all)
	}
	return err
}

// waiting has the person receive on a console.
func (l *lab) waiting(ctx context.Context, dir string) (*console, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c, err := l.on("receive", "--once", "--dir", windowsPath(dir))
	if err != nil {
		return nil, err
	}
	if err := c.expect(ctx, "aiting for"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// offered has the person asked about a file.
func (l *lab) offered(ctx context.Context, dir string) (*console, *pair.Process, error) {
	c, err := l.waiting(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.linux.Start("", nil, "send", filepath.Join(l.dir, "set/a.txt"), l.person.JID)
	if err != nil {
		c.close()
		return nil, nil, err
	}
	if err := c.expect(ctx, "[y/N]"); err != nil {
		c.close()
		s.Kill()
		return nil, nil, fmt.Errorf("%w\n%s", err, said(s))
	}
	return c, s, nil
}

// asked answers a question about a file.
func (l *lab) asked(ctx context.Context, keys string, code exitcode.Code) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	dir := filepath.Join(l.windows.Home, fmt.Sprint("in-", l.cases))
	c, s, err := l.offered(ctx, dir)
	if err != nil {
		return err
	}
	defer c.close()
	defer s.Kill()
	if err := c.reply(ctx, keys); err != nil {
		return err
	}
	if err := fails(ctx, s, code); err != nil {
		return fmt.Errorf("%w\n%q", err, c.text())
	}
	if code != exitcode.OK { // it waits for another one
		return errors.Join(c.expect(ctx, "declined"), c.keys("\x03"), c.ends(ctx, int(exitcode.Cancelled)))
	}
	if err := c.ends(ctx, int(code)); err != nil {
		return err
	}
	return same(filepath.Join(l.dir, "set/a.txt"), dir)
}

// withdrawn has the sender give up while the person thinks.
func (l *lab) withdrawn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	c, s, err := l.offered(ctx, filepath.Join(l.windows.Home, fmt.Sprint("in-", l.cases)))
	if err != nil {
		return err
	}
	defer c.close()
	if err := s.Stop(caseTime); err != nil {
		return err
	}
	return errors.Join(c.expect(ctx, "ended by the contact"), c.keys("\x03"), c.ends(ctx, int(exitcode.Cancelled)))
}

// cancelled ends a transfer by Ctrl-C.
func (l *lab) cancelled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	r, err := l.receive(ctx, l.linux, filepath.Join(l.linux.Home, fmt.Sprint("in-", l.cases)))
	if err != nil {
		return err
	}
	defer r.Kill()
	c, err := l.on("send", "--limit-rate", "500KB", windowsPath(filepath.Join(l.dir, "big.bin")), l.linux.JID)
	if err != nil {
		return err
	}
	defer c.close()
	return errors.Join(c.expect(ctx, "%"), c.keys("\x03"), c.ends(ctx, int(exitcode.Cancelled)))
}

// cancelledQuestion ends a run by Ctrl-C that waits for an answer.
func (l *lab) cancelledQuestion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	c, err := l.on("login", "nobody@localhost")
	if err != nil {
		return err
	}
	defer c.close()
	return errors.Join(c.answer(ctx, "password of", "half\x03"), c.ends(ctx, int(exitcode.Cancelled)))
}

// swept runs a command that ends, and leaves a child.
func (l *lab) swept(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	beats := filepath.Join(l.dir, "beats")
	p, err := l.windows.Start("", nil, "send", "--from-command", l.linux.JID, "--", windowsPath(l.wine.probe), "leave", windowsPath(beats))
	if err != nil {
		return err
	}
	if err := fails(ctx, p, exitcode.LocalFile); err != nil {
		return err
	}
	if _, err := os.Stat(beats); err != nil {
		return fmt.Errorf("there was no child: %w", err)
	}
	if grown, err := grows(ctx, beats, time.Second); err != nil || grown {
		return errors.Join(err, errors.New("the child of the command lives on"))
	}
	return nil
}

// grows reports whether a file gets longer within a time.
func grows(ctx context.Context, path string, within time.Duration) (bool, error) {
	size := func() int64 {
		is, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return is.Size()
	}
	first := size()
	tick, over := time.NewTicker(50*time.Millisecond), time.After(within)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if size() > first {
				return true, nil
			}
		case <-over:
			return false, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// logout forgets the account.
func (l *lab) logout(ctx context.Context) error {
	if err := l.bare(ctx, exitcode.OK, "logout", "--forget"); err != nil {
		return err
	}
	path, err := l.below(configPath)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.Contains(string(b), l.person.JID) {
		return fmt.Errorf("the configuration still knows the account:\n%s", b)
	}
	return errors.Join(l.keepsState(false), l.bare(ctx, exitcode.Config, "devices"))
}
