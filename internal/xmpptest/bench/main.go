// Command bench measures transfers between two real jetsend processes over a
// private Prosody, beside scp of the same file over a private sshd: wall time,
// rate and peak memory. `make bench` runs it. It needs room for two copies of the
// file in the temporary directory.
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
	"syscall"
	"time"

	"jetsend/internal/xmpptest/pair"
)

// timeout bounds one transfer; a gibibyte takes seconds.
const timeout = 5 * time.Minute

// seed makes the file the same at every run.
const seed = 1

type options struct {
	program, path, dir string
	size               int64
	runs               int
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/jetsend", "the jetsend to measure")
	flag.StringVar(&o.dir, "dir", "", "directory to work in; empty: the temporary directory")
	flag.Int64Var(&o.size, "size", 1<<30, "bytes to send")
	flag.IntVar(&o.runs, "runs", 3, "how often each is measured, by turns")
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

// sample is one measured transfer.
type sample struct {
	what     string
	wall     time.Duration
	inner    float64 // seconds that the program itself reports, 0 when it does not
	sender   int64   // peak memory, bytes
	receiver int64
}

// contender is a way to copy the file, which returns with the copy at target.
type contender func(ctx context.Context, file, inbox string) (sample, error)

func run(ctx context.Context, w io.Writer, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "jetsend-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "file.bin")
	if err := fill(file, o.size); err != nil {
		return err
	}
	p, err := pair.Open(ctx, dir, o.program, o.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	contenders := []contender{jetsend(p)}
	ssh, err := startSSH(ctx, filepath.Join(dir, "ssh"), o.path)
	if err != nil {
		_, _ = fmt.Fprintf(w, "scp is left out: %v\n", err)
	} else {
		defer func() { err = errors.Join(err, ssh.close()) }()
		contenders = append(contenders, ssh.scp(""), ssh.scp("aes256-gcm@openssh.com"))
	}
	_, _ = fmt.Fprintf(w, "%d bytes, %d runs, %s/%s, %d cpu\n", o.size, o.runs, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	_, _ = fmt.Fprintf(w, "%-32s %9s %9s %11s %14s %14s\n", "", "wall s", "MB/s", "transfer s", "sender MiB", "receiver MiB")
	for range o.runs {
		for _, c := range contenders {
			s, err := once(ctx, dir, file, c)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(w, s.format(o.size))
		}
	}
	return nil
}

// once measures one copy and removes it.
func once(ctx context.Context, dir, file string, c contender) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	inbox, err := os.MkdirTemp(dir, "inbox-")
	if err != nil {
		return sample{}, fmt.Errorf("make directory: %w", err)
	}
	s, err := c(ctx, file, inbox)
	return s, errors.Join(err, os.RemoveAll(inbox))
}

func (s sample) format(size int64) string {
	mib := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(n)/(1<<20))
	}
	inner := "-"
	if s.inner > 0 {
		inner = fmt.Sprintf("%.2f", s.inner)
	}
	return fmt.Sprintf("%-32s %9.2f %9.0f %11s %14s %14s", s.what, s.wall.Seconds(),
		float64(size)/1e6/s.wall.Seconds(), inner, mib(s.sender), mib(s.receiver))
}

// jetsend sends through the pair; wall time is that of `jetsend send` from its
// start to its end, login and receipt included.
func jetsend(p *pair.Pair) contender {
	return func(ctx context.Context, file, inbox string) (sample, error) {
		r, err := p.Transfer(ctx, file, inbox)
		if err != nil {
			return sample{}, err
		}
		if err := errors.Join(r.Sender.Err, r.Receiver.Err); err != nil {
			return sample{}, fmt.Errorf("transfer: %w\nsend: %s\nreceive: %s", err, r.Sender.Stderr, r.Receiver.Stderr)
		}
		s := sample{what: "jetsend", wall: r.Sender.Took, sender: r.Sender.MaxRSS, receiver: r.Receiver.MaxRSS}
		if e := r.Sender.Find("negotiated"); e != nil {
			s.what = fmt.Sprintf("jetsend %s %s %s", e.Transport, e.Candidate, e.Cipher)
		}
		if e := r.Sender.Find("sent"); e != nil {
			s.inner = e.Seconds
		}
		return s, nil
	}
}

// fill writes a file of bytes that do not compress.
func fill(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	random := rand.NewChaCha8([32]byte{seed})
	if _, err := io.CopyN(f, random, size); err != nil {
		return fmt.Errorf("fill %s: %w", path, err)
	}
	return f.Sync()
}
