package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"jetsend/internal/xmpptest/pair"
)

const (
	// minSize is the smallest file.
	minSize = 1 << 10
	// maxInBand bounds a file that is sent in-band, which is slow.
	maxInBand = 512 << 10
	// tries bounds the commands for one transfer.
	tries = 20
	// tryPause lies between them.
	tryPause = 500 * time.Millisecond
	// commandLimit is how long one command may take.
	commandLimit = 3 * time.Minute
	// lateEvent is how long the daemon may take to say what the sender knows: it is
	// another process, with another pipe to us.
	lateEvent = 5 * time.Second
)

// runningElsewhere is the exit code of a resume that the daemon of the same account
// has come before: the contact's asked for the rest when it was back.
const runningElsewhere = 12

// elsewherePause is how long the daemon is left alone then.
const elsewherePause = 5 * time.Second

// passing are the exit codes after which a transfer can be gone on with: server
// not reachable, contact not online, declined or cancelled, interrupted.
// 7 is what 6 is while another client of the contact, which sends, is online.
func passing() []int { return []int{5, 6, 7, 8, 11} }

// warmUp sends one file each way, so that what is made once is there.
func (s *soak) warmUp(ctx context.Context) error {
	rnd := rand.New(rand.NewPCG(s.o.seed, math.MaxUint64))
	for i := range s.parties {
		if err := s.transfer(ctx, s.parties[i], s.parties[1-i], "warm-up", minSize, rnd, false); err != nil {
			return fmt.Errorf("before anything else: %w", err)
		}
	}
	sleep(ctx, s.o.settle)
	return nil
}

// worker sends files one after the other until its time is over. The last one is
// finished: it ends with the program only.
func (s *soak) worker(work, ctx context.Context, i int, rnd *rand.Rand) {
	from, to := s.parties[i%2], s.parties[1-i%2]
	for n := 0; work.Err() == nil && !s.wrong(); n++ {
		inBand := rnd.IntN(4) == 0
		top := s.o.maxSize
		if inBand {
			top = min(top, maxInBand)
		}
		size := int64(minSize * math.Pow(float64(top)/minSize, rnd.Float64()))
		if err := s.transfer(ctx, from, to, fmt.Sprintf("w%d-%d", i, n), size, rnd, inBand); err != nil && ctx.Err() == nil {
			s.blame("%v", err)
		}
	}
}

// transfer sends one file, goes on with it until it is done, and compares.
func (s *soak) transfer(ctx context.Context, from, to *party, name string, size int64, rnd *rand.Rand, inBand bool) error {
	source := filepath.Join(from.account.Home, name+".bin")
	sum, err := fill(source, size, rnd)
	if err != nil {
		return err
	}
	flags := []string{"--retries", "5", "--retry-for", "1m"}
	if s.o.calm {
		flags = nil
	}
	if inBand {
		flags = append(flags, "--transport", "ibb")
	}
	args := append(append([]string{"--json", "send", "--wait", "20s"}, flags...), source, to.account.JID)
	var story []string
	var resumed string // the id of the transfer, once it is gone on with
	for try := range tries {
		p, err := s.command(ctx, from, args)
		if err != nil {
			return err
		}
		story = append(story, fmt.Sprintf("%q ended with %d:\n%s", args, p.ExitCode(), p.Stderr()))
		sent := last(p.Events(), "sent")
		switch code := p.ExitCode(); {
		case code == 0 && sent != nil:
			s.note(size, try+1)
			return errors.Join(s.compare(to, sent.Transfer, sum), os.Remove(source))
		case code == 0 && resumed != "": // the daemon of the same account has done it
			s.note(size, try+1)
			return errors.Join(s.compare(to, resumed, sum), os.Remove(source))
		case code == runningElsewhere && resumed != "":
			sleep(ctx, elsewherePause)
		case !slices.Contains(passing(), code):
			return fmt.Errorf("%s from %s: exit code %d in %q", name, from.user, code, story)
		}
		if failed := last(p.Events(), "failed"); failed != nil && failed.Resumable {
			resumed = failed.Transfer
			args = append(append([]string{"--json", "resume"}, flags...), resumed)
		}
		sleep(ctx, tryPause)
	}
	return fmt.Errorf("%s from %s is not done after %d tries: %q", name, from.user, tries, story)
}

func (s *soak) note(size int64, commands int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	s.bytes += size
	s.commands += commands
	if commands > 1 {
		s.cut++
	}
}

// command runs one command to its end.
func (s *soak) command(ctx context.Context, from *party, args []string) (*pair.Process, error) {
	p, err := from.account.Start(from.configs.command, nil, args...)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(commandLimit)
	defer late.Stop()
	select {
	case <-p.Done():
		return p, nil
	case <-late.C:
		err = fmt.Errorf("%q takes more than %v:\n%s", args, commandLimit, p.Stderr())
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.Kill()
	return nil, err
}

// compare looks at the file that the daemon said it received, and removes it.
func (s *soak) compare(to *party, transfer string, want [sha256.Size]byte) error {
	deadline := time.Now().Add(lateEvent)
	for {
		s.mu.Lock()
		path, known := s.received[transfer]
		s.mu.Unlock()
		if known {
			return compareFile(path, want)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("transfer %s: sent, but %s never said received", transfer, to.user)
		}
		sleep(context.Background(), 10*time.Millisecond)
	}
}

func compareFile(path string, want [sha256.Size]byte) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the received file: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the received file: %w", err)
	}
	if [sha256.Size]byte(h.Sum(nil)) != want {
		return fmt.Errorf("%s is not what was sent", path)
	}
	return os.Remove(path)
}

// fill makes a source and returns its hash.
func fill(path string, size int64, rnd *rand.Rand) (sum [sha256.Size]byte, err error) {
	f, err := os.Create(path)
	if err != nil {
		return sum, fmt.Errorf("make source: %w", err)
	}
	var key [32]byte
	for i := range key {
		key[i] = byte(rnd.Uint32())
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8(key), size)
	return [sha256.Size]byte(h.Sum(nil)), errors.Join(err, f.Close())
}

// last returns the last event of a kind, or nil.
func last(events []pair.Event, kind string) *pair.Event {
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Event == kind {
			return &events[i]
		}
	}
	return nil
}
