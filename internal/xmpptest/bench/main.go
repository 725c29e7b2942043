// Command bench measures transfers between two real jetsend processes over a
// private Prosody, and an ejabberd where it is installed, by every path: direct,
// through the server's proxy and, with a smaller file, in-band; beside them scp
// of the same file over a private sshd; a receiver flooded and under siege by a
// contact; and what sets must reach, each beside its target, with the round trips of a
// `send` over a long way.
// It prints wall time, rate and peak memory. `make bench` runs it. It needs room
// for two copies of the file in the temporary directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"jetsend/internal/xmpptest"
)

// timeout bounds one transfer; a gibibyte takes seconds.
const timeout = 5 * time.Minute

// seed makes the file the same at every run.
const seed = 1

// table is how the rows are laid out; the first rate is of the wall time, the
// second of the time that the program reports for the transfer.
const table = "%-42s %11s %8s %7s %8s %7s %7s %8s\n"

type options struct {
	program, path, dir string
	size, inband       int64
	runs, entries      int
	sets, figures      string
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/jetsend", "the jetsend to measure")
	flag.StringVar(&o.dir, "dir", "", "directory to work in; empty: the temporary directory")
	flag.Int64Var(&o.size, "size", 1<<30, "bytes to send")
	flag.Int64Var(&o.inband, "inband", 4<<20, "bytes to send in-band, which is slower")
	flag.IntVar(&o.runs, "runs", 3, "how often each is measured, by turns")
	flag.IntVar(&o.entries, "entries", 1_000_000, "how many empty files a folder has; 0: it is left out")
	flag.StringVar(&o.sets, "sets", "", "measure sets alone: all, or one of beside, many, some, far, trips, inband, inside, several and huge")
	flag.StringVar(&o.figures, "figures", "", "JSON file for what others take beside us; the picture of it goes beside that; empty: none")
	flag.Parse()
	o.path = os.Getenv("PATH")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// source is a file to send.
type source struct {
	path string
	size int64
}

// contender is a way to copy a file. run returns with the copy in the inbox.
type contender struct {
	file source
	run  func(ctx context.Context, file, inbox string) (sample, error)
}

// sample is one measured transfer.
type sample struct {
	what     string
	wall     time.Duration
	inner    float64 // seconds that the program itself reports, 0 when it does not
	sender   int64   // peak memory, bytes
	receiver int64
}

func run(ctx context.Context, w io.Writer, o options) (err error) {
	o.dir, err = os.MkdirTemp(o.dir, "jetsend-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	_, _ = fmt.Fprintf(w, "%d runs, %s/%s, %d cpu%s\n", o.runs, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load())
	if o.sets != "" {
		return sets(ctx, w, o)
	}
	large := source{filepath.Join(o.dir, "large.bin"), o.size}
	small := source{filepath.Join(o.dir, "small.bin"), o.inband}
	if err := errors.Join(fill(large), fill(small)); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, table, "", "bytes", "wall s", "MB/s", "inner s", "MB/s", "snd MiB", "rcv MiB")
	if err := onProsody(ctx, w, o, large, small); err != nil {
		return err
	}
	if err := onEjabberd(ctx, w, o, large, small); err != nil {
		return err
	}
	if err := underSiege(ctx, w, o, large, small); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(large.path), os.Remove(small.path)); err != nil {
		return fmt.Errorf("remove what was sent: %w", err)
	}
	return sets(ctx, w, o)
}

// load says what else the machine does, where the system tells.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), " ")
	return ", load " + first
}

// onProsody measures every path over a Prosody, and scp.
func onProsody(ctx context.Context, w io.Writer, o options, large, small source) (err error) {
	contenders, done, err := openPaths(ctx, xmpptest.Prosody, o, large, small)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	ssh, err := startSSH(ctx, filepath.Join(o.dir, "ssh"), o.path)
	if err != nil {
		_, _ = fmt.Fprintf(w, "scp is left out: %v\n", err)
	} else {
		defer func() { err = errors.Join(err, ssh.close()) }()
		contenders = append(contenders, contender{large, ssh.scp("")}, contender{large, ssh.scp("aes256-gcm@openssh.com")})
	}
	return measure(ctx, w, o, contenders)
}

// onEjabberd measures every path over an ejabberd, where there is one.
func onEjabberd(ctx context.Context, w io.Writer, o options, large, small source) (err error) {
	contenders, done, err := openPaths(ctx, xmpptest.Ejabberd, o, large, small)
	if errors.Is(err, xmpptest.ErrNoEjabberd) {
		_, _ = fmt.Fprintf(w, "ejabberd is left out: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return measure(ctx, w, o, contenders)
}

// measure lets the contenders run by turns and prints a line for each copy.
func measure(ctx context.Context, w io.Writer, o options, contenders []contender) error {
	for range o.runs {
		for _, c := range contenders {
			s, err := once(ctx, o.dir, c)
			if err != nil {
				return err
			}
			_, _ = io.WriteString(w, s.format(c.file.size)) // a lost line is no failure
		}
	}
	return nil
}

// once measures one copy and removes it.
func once(ctx context.Context, dir string, c contender) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	inbox, err := os.MkdirTemp(dir, "inbox-")
	if err != nil {
		return sample{}, fmt.Errorf("make directory: %w", err)
	}
	s, err := c.run(ctx, c.file.path, inbox)
	return s, errors.Join(err, os.RemoveAll(inbox))
}

func (s sample) format(size int64) string {
	mib := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(n)/(1<<20))
	}
	rate := func(seconds float64) string { return fmt.Sprintf("%.1f", float64(size)/1e6/seconds) }
	inner, innerRate := "-", "-"
	if s.inner > 0 {
		inner, innerRate = fmt.Sprintf("%.2f", s.inner), rate(s.inner)
	}
	wall := s.wall.Seconds()
	return fmt.Sprintf(table, s.what, strconv.FormatInt(size, 10), fmt.Sprintf("%.2f", wall), rate(wall),
		inner, innerRate, mib(s.sender), mib(s.receiver))
}

// fill writes a file of bytes that do not compress.
func fill(s source) (err error) {
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	random := rand.NewChaCha8([32]byte{seed})
	if _, err := io.CopyN(f, random, s.size); err != nil {
		return fmt.Errorf("fill %s: %w", s.path, err)
	}
	return f.Sync()
}
