package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/xmpptest/pair"
)

// all runs the cases.
func (l *lab) all(ctx context.Context) {
	big, set, foreign := filepath.Join(l.dir, "big.bin"), filepath.Join(l.dir, "set"), filepath.Join(l.dir, "foreign")
	again := filepath.Join(l.dir, "again") // which has never arrived: an update goes to where a folder is
	l.check("what is sent", func() error {
		return errors.Join(random(big, 8<<20), fill(set, plainNames), fill(again, plainNames), fill(foreign, foreignNames))
	})
	l.check("version", func() error { return l.says(ctx, "windows/amd64", "version") })
	l.check("doctor", func() error { return l.says(ctx, "", "doctor") })
	l.check("a file, Windows to Linux", func() error { return l.transfer(ctx, l.windows, l.linux, big) })
	l.check("a file, Linux to Windows", func() error { return l.transfer(ctx, l.linux, l.windows, big) })
	l.check("a folder, Windows to Linux", func() error { return l.transfer(ctx, l.windows, l.linux, set) })
	l.check("a folder, Linux to Windows", func() error { return l.transfer(ctx, l.linux, l.windows, set) })
	l.check("a folder with names that Windows does not have, Linux to Windows", func() error { return l.transfer(ctx, l.linux, l.windows, foreign) })
	l.check("a folder again, changed, onto what is there, Linux to Windows", func() error { return l.update(ctx, again) })
	l.check("a pipe, Windows to Linux", func() error { return l.pipe(ctx, big) })
	l.check("resume after the sender was killed, Windows to Linux", func() error { return l.resume(ctx, l.windows, l.linux, big, false) })
	l.check("resume after the receiver was killed, Linux to Windows", func() error { return l.resume(ctx, l.linux, l.windows, big, true) })
	l.own(ctx)
}

// plainNames are names that both systems have; foreignNames, such that Windows has not.
var (
	plainNames   = []string{"a.txt", "Grüße – 日本.txt", ".hidden", "two words/.deep/x", "dir/" + strings.Repeat("long name ", 12) + "x/" + strings.Repeat("y", 120) + "/z.txt"}
	foreignNames = []string{"aux.c", "CON", "a:b", "what?.txt", "dots...", "space ", `back\slash`, "pipe|<>.txt", "A.txt", "a.txt", "nul/com1/file", "tab\tname"}
)

func fill(dir string, names []string) error {
	for i, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := random(path, 1000*(i+1)); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "empty"), 0o755)
}

func random(path string, n int) error {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return os.WriteFile(path, b, 0o644)
}

// sums are those of all files in or at a path, sorted: names may have changed.
func sums(path string) (all []string, err error) {
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		all = append(all, fmt.Sprintf("%x", sha256.Sum256(b)))
		return err
	})
	slices.Sort(all)
	return all, err
}

// says runs a command on Windows, which must end with 0 and say something.
func (l *lab) says(ctx context.Context, what string, args ...string) error {
	p, err := l.windows.Start("", nil, args...)
	if err != nil {
		return err
	}
	if err := ended(ctx, p); err != nil {
		return err
	}
	for _, e := range p.Events() {
		if strings.Contains(e.Line, what) {
			return nil
		}
	}
	return fmt.Errorf("no word of %s", what)
}

// ended waits for the end of a process, which is to be 0.
func ended(ctx context.Context, p *pair.Process) error {
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%v has not ended:\n%s", p.Args(), said(p))
	}
	if code := p.ExitCode(); code != 0 {
		return fmt.Errorf("%v ended with %d:\n%s", p.Args(), code, said(p))
	}
	return nil
}

// said is what a process has told.
func said(p *pair.Process) string {
	var all strings.Builder
	for _, e := range p.Events() {
		all.WriteString(e.Line + "\n")
	}
	return all.String() + p.Stderr()
}

// caseTime bounds one transfer.
const caseTime = 40 * time.Second

// receive starts a receiver, and waits until it is online.
func (l *lab) receive(ctx context.Context, to pair.Account, dir string, args ...string) (*pair.Process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r, err := to.Start("", nil, append([]string{"--json", "receive", "--accept", "all", "--dir", dir}, args...)...)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.Online():
		return r, nil
	case <-r.Done():
		return nil, fmt.Errorf("the receiver has ended: %s", r.Stderr())
	case <-ctx.Done():
		r.Kill()
		return nil, context.Cause(ctx)
	}
}

// transfer sends a path, and compares what arrives.
func (l *lab) transfer(ctx context.Context, from, to pair.Account, path string, args ...string) error {
	return l.into(ctx, from, to, path, filepath.Join(to.Home, fmt.Sprint("in-", l.cases)), args...)
}

func (l *lab) into(ctx context.Context, from, to pair.Account, path, inbox string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	r, err := l.receive(ctx, to, inbox, append(args, "--once")...)
	if err != nil {
		return err
	}
	defer r.Kill()
	s, err := from.Start("", nil, "--json", "send", path, to.JID)
	if err != nil {
		return err
	}
	defer s.Kill()
	if err := ended(ctx, s); err != nil {
		return fmt.Errorf("%w\nat the other end:\n%s", err, said(r))
	}
	if err := ended(ctx, r); err != nil {
		return err
	}
	return same(path, inbox)
}

// same compares what was sent with all that is in the inbox.
func same(path, inbox string) error {
	want, err := sums(path)
	got, gerr := sums(inbox)
	if err = errors.Join(err, gerr); err == nil && !slices.Equal(want, got) {
		err = fmt.Errorf("%d files were sent, %d have arrived, and they are not the same", len(want), len(got))
	}
	return err
}

// update sends a folder twice, with a change between.
func (l *lab) update(ctx context.Context, set string) error {
	inbox := filepath.Join(l.windows.Home, "updated")
	if err := l.into(ctx, l.linux, l.windows, set, inbox, "--on-conflict", "update"); err != nil {
		return err
	}
	if err := errors.Join(random(filepath.Join(set, "a.txt"), 5000), random(filepath.Join(set, "new"), 6000), os.Chmod(filepath.Join(set, ".hidden"), 0o444)); err != nil {
		return err
	}
	return l.into(ctx, l.linux, l.windows, set, inbox, "--on-conflict", "update")
}

// pipe sends standard input.
func (l *lab) pipe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	inbox := filepath.Join(l.linux.Home, "piped")
	r, err := l.receive(ctx, l.linux, inbox, "--once")
	if err != nil {
		return err
	}
	defer r.Kill()
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	a := l.windows
	cmd := exec.CommandContext(ctx, a.Program, "send", "--name", "piped.bin", "-", l.linux.JID)
	cmd.Dir, cmd.Stdin = a.Home, bytes.NewReader(b)
	cmd.Env = append(os.Environ(), "JETSEND_JID="+a.JID, "JETSEND_PASSWORD="+a.Password, "JETSEND_SERVER="+a.Server, "JETSEND_TLS_CA_FILE="+a.CAFile, "JETSEND_STATE_DIR="+filepath.Join(a.Home, "state"))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("send -: %w\n%s", err, said)
	}
	if err := ended(ctx, r); err != nil {
		return err
	}
	return same(path, inbox)
}

// resume kills one end in the middle of a slow transfer, and has the sender go on.
func (l *lab) resume(ctx context.Context, from, to pair.Account, path string, receiver bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*caseTime)
	defer cancel()
	inbox := filepath.Join(to.Home, fmt.Sprint("in-", l.cases))
	r, err := l.receive(ctx, to, inbox)
	if err != nil {
		return err
	}
	defer func() { r.Kill() }()
	s, err := from.Start("", nil, "--json", "send", "--limit-rate", "1MB", path, to.JID)
	if err != nil {
		return err
	}
	defer s.Kill()
	if err := begun(ctx, inbox); err != nil {
		return err
	}
	if receiver {
		l.kill(ctx, r, to)
		if r, err = l.receive(ctx, to, inbox); err != nil {
			return err
		}
		err = ended(ctx, s)
	} else {
		l.kill(ctx, s, from)
		var again *pair.Process
		if again, err = from.Start("", nil, "--json", "send", path, to.JID); err != nil {
			return err
		}
		if err = ended(ctx, again); err == nil && !resumed(again) {
			err = errors.New("it began from the start")
		}
	}
	if err != nil {
		return err
	}
	return same(path, inbox)
}

// kill ends a process as nothing but its end can be noticed.
func (l *lab) kill(ctx context.Context, p *pair.Process, a pair.Account) {
	if a.Program == l.wine.wrapper { // Wine's loader is the process: its memory is that of the program
		_ = quiet(ctx, l.wine.env, "wine", "taskkill", "/f", "/im", "jetsend.exe") // it has ended, or the next line ends it
	}
	p.Kill()
}

func resumed(p *pair.Process) bool {
	return slices.ContainsFunc(p.Events(), func(e pair.Event) bool { return e.Offset > 0 })
}

// begun waits until a partial file has some bytes.
func begun(ctx context.Context, inbox string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		parts, _ := filepath.Glob(filepath.Join(inbox, ".jetsend-*.part")) // the pattern is one
		for _, p := range parts {
			if is, err := os.Stat(p); err == nil && is.Size() > 2<<20 {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
