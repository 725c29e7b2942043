package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"jetsend/internal/xmpptest/figures"
	"jetsend/internal/xmpptest/pair"
)

// parts is in how many files the bytes of the large one are in a folder.
const parts = 100

// beside sends one file, a folder of some and a folder of many, beside what others do with
// them over a connection of theirs, and writes the figures.
func (g *goals) beside(ctx context.Context) (err error) {
	file := source{filepath.Join(g.dir, "one.bin"), g.size}
	if err := fill(file); err != nil {
		return err
	}
	folder, err := g.folder("some-large", parts, g.size/parts)
	if err != nil {
		return err
	}
	many, err := g.folder("many-small", manyFiles, manySize)
	if err != nil {
		return err
	}
	f, err := figures.Read(g.figures)
	if err != nil {
		return err
	}
	others, done, missing := g.others(ctx)
	defer func() { err = errors.Join(err, done()) }()
	f.Missing = missing
	f.Machine = fmt.Sprintf("%s/%s, %d cores; login and key exchange are in the times unless it says otherwise", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	mb := float64(g.size) / 1e6
	for _, j := range []struct{ key, name, path string }{
		{"file", fmt.Sprintf("one file of %.0f MB", mb), file.path},
		{"folder", fmt.Sprintf("a folder of %d files, %.0f MB together", parts, mb), folder},
		{"many", fmt.Sprintf("a folder of %d files of 4 KiB", manyFiles), many},
	} {
		all := []rival{g.jetsend("jetsend, synced", pair.Job{Files: []string{j.path}})}
		for _, o := range others {
			all = append(all, o(j.path))
		}
		how := fmt.Sprintf("median of %d%s", g.runs, load())
		ways, err := g.ways(ctx, j.name, all)
		if err = errors.Join(err, g.clear()); err != nil {
			return err
		}
		f.Set(figures.Job{Key: j.key, Name: j.name, How: how, Ways: ways})
		if err := f.Save(g.figures); err != nil {
			return err
		}
	}
	return errors.Join(os.Remove(file.path), os.RemoveAll(folder), os.RemoveAll(many))
}

// ways lets all do a job by turns.
func (g *goals) ways(ctx context.Context, job string, all []rival) (ways []figures.Way, err error) {
	seconds, err := g.compete(ctx, all...)
	if err != nil {
		return nil, err
	}
	for i, r := range all {
		g.say("  %s: %.2f s, %s", job, seconds[i], r.name)
		ways = append(ways, figures.Way{Who: r.name, Seconds: seconds[i]})
	}
	return ways, nil
}

// others are those who can copy something through an sshd or a relay of their own, and who
// is not installed. done ends what they need.
func (g *goals) others(ctx context.Context) (all []func(from string) rival, done func() error, missing []string) {
	var ends []func() error
	if ssh, err := startSSH(ctx, filepath.Join(g.dir, "ssh"), g.path); err != nil {
		g.say("scp and rsync are left out: %v", err)
		missing = append(missing, "scp", "rsync")
	} else {
		ends, all = append(ends, ssh.close), append(all, ssh.tree)
		if g.installed("rsync") {
			all = append(all, ssh.rsync("rsync"), ssh.rsync("rsync, synced", "--fsync"))
		} else {
			missing = append(missing, "rsync")
		}
	}
	if c, err := startCroc(ctx, filepath.Join(g.dir, "croc"), g.path); err != nil {
		g.say("croc is left out: %v", err)
		missing = append(missing, "croc")
	} else {
		ends, all = append(ends, c.close), append(all, c.tree)
	}
	return all, func() (err error) {
		for _, end := range ends {
			err = errors.Join(err, end())
		}
		return err
	}, missing
}

// tree copies a file or a folder by scp.
func (s *sshd) tree(from string) rival {
	return rival{"scp", func(ctx context.Context, into string) (time.Duration, error) {
		return timed(exec.CommandContext(ctx, "scp", append(s.args("-P"), "-q", "-r", from, "127.0.0.1:"+into+"/")...))
	}}
}

// rsync copies a file or a folder by rsync over ssh.
func (s *sshd) rsync(name string, flags ...string) func(from string) rival {
	return func(from string) rival {
		return rival{name, func(ctx context.Context, into string) (time.Duration, error) {
			args := append([]string{"-a", "-e", "ssh " + strings.Join(s.args("-p"), " ")}, flags...)
			return timed(exec.CommandContext(ctx, "rsync", append(args, from, "127.0.0.1:"+into+"/")...))
		}}
	}
}

// timed runs a command and returns how long it took.
func timed(cmd *exec.Cmd) (time.Duration, error) {
	begin := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, out)
	}
	return time.Since(begin), nil
}
