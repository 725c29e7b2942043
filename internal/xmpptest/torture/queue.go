package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jetsend/internal/xmpptest/pair"
)

const (
	// queuedFiles is how many files a round queues at most.
	queuedFiles = 5
	// kills is how often somebody is killed in a round at most.
	kills = 6
)

// queueRounds lets files be queued while the one that delivers them, the one that receives them and the
// server are killed. In the end each has arrived, once, and says so.
func queueRounds(ctx context.Context, w io.Writer, world *world, o options) error {
	_, _ = fmt.Fprintf(w, "%d rounds with what is queued, from seed %d, on %s\n", o.rounds, o.seed, o.server)
	total := 0
	for i := range o.rounds {
		seed := o.seed + uint64(i)
		c, err := world.couple(ctx, true)
		if err != nil {
			return err
		}
		q := &queueRound{world: world, couple: c, dice: rand.New(rand.NewPCG(seed, 0)), up: map[end]*pair.Process{}}
		limited, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the round took more than %v", o.timeout))
		err = errors.Join(q.run(limited), q.stop())
		cancel()
		if err != nil {
			return fmt.Errorf("%w; the same plan again: -queue -seed %d -rounds 1\n%s", err, seed, strings.Join(q.story, "\n"))
		}
		_, _ = fmt.Fprintf(w, "%4d %d files, %s: once each\n", i+1, len(q.sums), strings.Join(q.story, ", "))
		total += len(q.sums)
	}
	_, _ = fmt.Fprintf(w, "%d files were queued: none is lost, none came twice\n", total)
	return nil
}

// queueRound is one of them.
type queueRound struct {
	world  *world
	couple *couple
	dice   *rand.Rand
	up     map[end]*pair.Process
	story  []string
	sums   []string // of what was queued
	ids    []string
}

func (q *queueRound) tell(format string, args ...any) {
	q.story = append(q.story, fmt.Sprintf(format, args...))
}

// account is one as it is now: the server may have another port.
func (q *queueRound) account(e end) pair.Account {
	a := q.couple.accounts[e]
	a.Server = q.world.server.Addr
	return a
}

func (q *queueRound) inbox() string { return filepath.Join(q.couple.accounts[receiver].Home, "in") }

// start has somebody receive, who is not at it.
func (q *queueRound) start(e end) error {
	if p := q.up[e]; p != nil && !p.Gone() {
		return nil
	}
	dir := filepath.Join(q.couple.accounts[e].Home, "in")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make inbox: %w", err)
	}
	p, err := q.account(e).Start("", nil, "--json", "receive", "--accept", "contacts", "--dir", dir, "--limit-rate", "4MB")
	q.up[e] = p
	return err
}

func (q *queueRound) run(ctx context.Context) error {
	files := 1 + q.dice.IntN(queuedFiles)
	moves := files + q.dice.IntN(kills)
	for range moves {
		if err := q.move(ctx, &files); err != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(q.dice.IntN(1500)) * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for ; files > 0; files-- {
		if err := q.queue(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(q.start(sender), q.start(receiver)); err != nil {
		return err
	}
	if out, err := q.command(ctx, nil, append([]string{"transfers", "wait"}, q.ids...)...); err != nil {
		return fmt.Errorf("%w: wait: %w\n%s", errWrong, err, out)
	}
	return q.check()
}

// move does one thing: it queues a file, kills somebody, or has somebody receive.
func (q *queueRound) move(ctx context.Context, files *int) error {
	if *files > 0 && q.dice.IntN(2) == 0 {
		*files--
		return q.queue(ctx)
	}
	e := []end{sender, receiver}[q.dice.IntN(2)]
	if p := q.up[e]; p != nil && !p.Gone() {
		q.tell("%s killed", e)
		p.Kill()
		return nil
	}
	q.tell("%s up", e)
	return q.start(e)
}

// queue queues a file, as such, as a copy, or over a pipe.
func (q *queueRound) queue(ctx context.Context) error {
	b := make([]byte, q.dice.IntN(6<<20))
	for i := range b {
		b[i] = byte(q.dice.Uint32())
	}
	name := fmt.Sprintf("queued-%d", len(q.sums))
	path := filepath.Join(q.couple.accounts[sender].Home, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	args, in := []string{"--json", "send", "--queue"}, []byte(nil)
	how := []string{"file", "copy", "pipe"}[q.dice.IntN(3)]
	switch how {
	case "file":
		args = append(args, path)
	case "copy":
		args = append(args, "--copy", path)
	case "pipe":
		args, in = append(args, "--allow-empty", "--name", name, "-"), b
	}
	out, err := q.command(ctx, in, append(args, q.couple.accounts[receiver].JID)...)
	if err != nil {
		return fmt.Errorf("%w: queue: %w\n%s", errWrong, err, out)
	}
	_, rest, ok := strings.Cut(out, `"transfer":"`)
	id, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 {
		return fmt.Errorf("%w: queue says %s", errWrong, out)
	}
	if how == "copy" { // of which the original goes
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove a file: %w", err)
		}
	}
	q.tell("%s", how)
	q.ids, q.sums = append(q.ids, id), append(q.sums, fmt.Sprintf("%x", sha256.Sum256(b)))
	return nil
}

// command runs a command of the sender.
func (q *queueRound) command(ctx context.Context, in []byte, args ...string) (string, error) {
	a := q.account(sender)
	cmd := exec.CommandContext(ctx, a.Program, args...)
	cmd.Dir, cmd.Stdin = a.Home, bytes.NewReader(in)
	cmd.Env = []string{"PATH=" + a.Path, "HOME=" + a.Home, "XDG_CONFIG_HOME=" + filepath.Join(a.Home, "config"), "JETSEND_JID=" + a.JID, "JETSEND_STATE_DIR=" + filepath.Join(a.Home, "state")}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// check compares what was queued with all that is there.
func (q *queueRound) check() error {
	var got []string
	entries, err := os.ReadDir(q.inbox())
	if err != nil {
		return fmt.Errorf("read the inbox: %w", err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(q.inbox(), e.Name()))
		if err != nil {
			return fmt.Errorf("read the inbox: %w", err)
		}
		got = append(got, fmt.Sprintf("%x", sha256.Sum256(b)))
	}
	want := slices.Sorted(slices.Values(q.sums))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%w: %d files were queued, %d are there, and they are not the same", errWrong, len(want), len(got))
	}
	copies, err := filepath.Glob(filepath.Join(q.couple.accounts[sender].Home, "state", "*.outbox", "*"))
	if err == nil && len(copies) > 0 {
		err = fmt.Errorf("%w: copies are left: %v", errWrong, copies)
	}
	return err
}

// stop ends who is up.
func (q *queueRound) stop() error {
	for _, p := range q.up {
		p.Kill()
	}
	return nil
}
