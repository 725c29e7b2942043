package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"jetsend/internal/xmpptest/pair"
)

// many sends a folder of many small files, beside what others do with it, and again.
func (g *goals) many(ctx context.Context) error {
	root, err := g.folder("many", manyFiles, manySize)
	if err != nil {
		return err
	}
	ours := g.jetsend("jetsend", pair.Job{Files: []string{root}})
	oneByOne := rival{"a loop that writes and syncs one file after the other, as rsync --fsync does", func(ctx context.Context, into string) (time.Duration, error) {
		begin := time.Now()
		err := copyTree(ctx, root, into)
		return time.Since(begin), err
	}}
	rivals := []rival{ours, oneByOne}
	for _, r := range []struct{ program, name, script string }{
		{"rsync", "rsync -a --fsync", `exec rsync -a --fsync "$1" "$2/"`},
		{"rsync", "rsync -a, which does not sync", `exec rsync -a "$1" "$2/"`},
		{"tar", "tar | tar on this machine, without ssh, which does not sync", `cd "$1/.." && tar -cf - "$(basename "$1")" | tar -xf - -C "$2"`},
	} {
		if g.installed(r.program) {
			rivals = append(rivals, g.shell(r.name, r.script, root))
		} else {
			g.say("  %s: not installed", r.name)
		}
	}
	if !g.installed("croc") {
		g.say("  croc: not installed")
	}
	s, err := g.compete(ctx, rivals...)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d x 4 KiB in a folder onto a disk", manyFiles)
	for i, r := range rivals {
		g.say("  %s: %.2f s, %s", what, s[i], r.name)
	}
	beside, unit := 1, "of a loop that syncs each"
	for i, r := range rivals {
		if r.name == "rsync -a --fsync" {
			beside, unit = i, "of rsync -a --fsync"
		}
	}
	g.judge(what, s[0]/s[beside], ofRsyncSynced, unit, fmt.Sprintf("%.2f s, %.2f s", s[0], s[beside]))
	return errors.Join(g.again(ctx, root), os.RemoveAll(root))
}

// again sends a folder in which nothing has changed to a receiver that has it.
func (g *goals) again(ctx context.Context, root string) error {
	into, err := os.MkdirTemp(g.dir, "inbox-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	job := pair.Job{Files: []string{root}, Inbox: into, Receive: []string{"--on-conflict", "update"}}
	if _, err := g.transfer(ctx, job); err != nil {
		return err
	}
	settle()
	var took []time.Duration
	logins := 0
	for range g.runs {
		r, err := g.transfer(ctx, job)
		if err != nil {
			return err
		}
		took = append(took, r.Sender.Took)
		n := 0
		for _, e := range r.Sender.Events {
			if e.Event == "online" {
				n++
			}
		}
		logins = max(logins, n)
	}
	g.judge(fmt.Sprintf("%d x 4 KiB again, nothing changed", manyFiles), median(took), againSeconds, "s", fmt.Sprintf("logins of the sender: %d", logins))
	return os.RemoveAll(into)
}

// installed reports whether a program is there.
func (g *goals) installed(program string) bool {
	for _, dir := range filepath.SplitList(g.path) {
		if info, err := os.Stat(filepath.Join(dir, program)); err == nil && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// shell runs a script as a rival: its arguments are what is copied, and where to.
func (g *goals) shell(name, script, from string) rival {
	return rival{name, func(ctx context.Context, into string) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, "sh", "-euc", script, "sh", from, into)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%w: %s", err, out)
		}
		return time.Since(begin), nil
	}}
}

// copyTree copies a folder and syncs one file after the other before it gets its name, and
// nothing else.
func copyTree(ctx context.Context, root, into string) error {
	return filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		below, err := filepath.Rel(filepath.Dir(root), at)
		if err != nil {
			return err
		}
		if to := filepath.Join(into, below); d.IsDir() {
			return os.Mkdir(to, 0o755)
		} else {
			return copySynced(at, to)
		}
	})
}

func copySynced(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(to+".part", to)
}

// scribble makes a small file that is like no other one.
func scribble(path string, i int, size int64) error {
	b := make([]byte, size)
	var key [32]byte
	key[0], key[1], key[2], key[3] = seed, byte(i), byte(i>>8), byte(i>>16)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	return nil
}
