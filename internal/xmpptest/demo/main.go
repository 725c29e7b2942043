// Command demo shows a transfer: it starts a private Prosody with two accounts,
// runs `jetsend receive` on one and `jetsend send` on the other, and compares
// what was sent with what arrived. It exits with 0 only when both are equal and
// both ends said so. `make demo` runs it.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"jetsend/internal/xmpptest/pair"
)

// timeout bounds the demonstration, which takes a few seconds.
const timeout = 2 * time.Minute

func main() {
	program := flag.String("program", "bin/jetsend", "the jetsend to show")
	file := flag.String("file", "", "the file to send; empty: the program itself")
	flag.Parse()
	if *file == "" {
		*file = *program
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	err := run(ctx, os.Stdout, *program, os.Getenv("PATH"), *file)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, program, path, file string) (err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return fmt.Errorf("find %s: %w", file, err)
	}
	sent, size, err := sum(file)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "jetsend-demo-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	inbox := filepath.Join(dir, "inbox")
	if err := os.Mkdir(inbox, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	p, err := pair.Open(ctx, dir, program, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	line := func(what, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "%-12s"+format+"\n", append([]any{what}, args...)...) // a lost line is no failure
	}
	line("server", "private Prosody for %s on %s", p.Server.Domain, p.Server.Addr)
	line("sending", "%s (%d bytes) from %s to %s", filepath.Base(file), size, p.Sender, p.Receiver)
	r, err := p.Transfer(ctx, file, inbox)
	if err != nil {
		return err
	}
	return report(line, r, sent, size)
}

// report prints what both ends said and fails unless everything fits.
func report(line func(what, format string, args ...any), r *pair.Result, sent string, size int64) error {
	for _, end := range []struct {
		name string
		pair.End
	}{{"jetsend send", r.Sender}, {"jetsend receive", r.Receiver}} {
		if end.Err != nil {
			return fmt.Errorf("%s ended with %w, having said:\n%s", end.name, end.Err, end.Stderr)
		}
	}
	out, in := r.Sender.Find("negotiated"), r.Receiver.Find("negotiated")
	done, got := r.Sender.Find("sent"), r.Receiver.Find("received")
	if out == nil || in == nil || done == nil || got == nil {
		return errors.New("both ends exited with 0, but an event is missing")
	}
	if len(out.Devices) == 0 || len(in.Devices) == 0 {
		return errors.New("the negotiated event names no device")
	}
	line("transport", "%s, %s", out.Transport, out.Candidate)
	line("cipher", "%s (%s)", out.Cipher, out.Encryption)
	for _, d := range out.Devices {
		line("peer", "%s, device %d, %s trust, fingerprint %s", out.Peer, d.ID, d.Trust, d.Fingerprint)
	}
	for _, d := range in.Devices {
		line("peer", "%s, device %d, %s trust, fingerprint %s", in.Peer, d.ID, d.Trust, d.Fingerprint)
	}
	line("verified", "%v by the receiver, receipt seen by the sender: %t", got.Verified, done.ByPeer)
	line("took", "%.2f s (%.0f MB/s)", done.Seconds, float64(size)/1e6/max(done.Seconds, 1e-9))
	received, n, err := sum(got.Path)
	if err != nil {
		return err
	}
	line("sent", "SHA-256 %s", sent)
	line("received", "SHA-256 %s (%d bytes)", received, n)
	if received != sent {
		return errors.New("the received file is not the one that was sent")
	}
	line("equal", "the received file is the one that was sent")
	return nil
}

// sum returns the SHA-256 and the size of a file.
func sum(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("open file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return "", 0, fmt.Errorf("read %s: %w", path, err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), n, nil
}
