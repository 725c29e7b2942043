package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

// largeBlocks is a configuration of the sender with the largest in-band blocks
// that XEP-0047 section 2.1 allows.
const largeBlocks = "transports:\n  ibb:\n    block_size: 65535\n"

// errOtherPath is returned when a transfer took another path than the one that
// was to be measured.
var errOtherPath = errors.New("the transfer took another path")

// openPaths starts a private server and returns jetsend by every path over it:
// direct and through the server's proxy with the large file, in-band with the
// small one, in blocks of the usual size and in large ones. done stops the
// server.
func openPaths(ctx context.Context, software xmpptest.Software, o options, large, small source) (_ []contender, done func() error, err error) {
	dir := filepath.Join(o.dir, string(software))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make directory: %w", err)
	}
	config := filepath.Join(dir, "large-blocks.yaml")
	if err := os.WriteFile(config, []byte(largeBlocks), 0o600); err != nil {
		return nil, nil, fmt.Errorf("write configuration: %w", err)
	}
	p, err := pair.OpenOn(ctx, software, dir, o.program, o.path)
	if err != nil {
		return nil, nil, err
	}
	by := func(file source, path, note string, flags ...string) contender {
		what := strings.TrimSpace(fmt.Sprintf("jetsend %s %s %s", software, path, note))
		return contender{file, jetsend(p, what, path, flags)}
	}
	return []contender{
		by(large, "s5b direct", ""),
		by(large, "s5b proxy", "", "--transport", "s5b", "--no-direct"),
		by(small, "ibb", "4096-byte blocks", "--transport", "ibb"),
		by(small, "ibb", "65535-byte blocks", "--transport", "ibb", "--config", config),
	}, p.Close, nil
}

// jetsend sends through the pair and fails unless that took the path. Wall time
// is that of `jetsend send` from its start to its end, login and receipt
// included. what names the sample.
func jetsend(p *pair.Pair, what, path string, flags []string) func(ctx context.Context, file, inbox string) (sample, error) {
	return func(ctx context.Context, file, inbox string) (sample, error) {
		r, err := p.Transfer(ctx, file, inbox, flags...)
		if err != nil {
			return sample{}, err
		}
		if err := errors.Join(r.Sender.Err, r.Receiver.Err); err != nil {
			return sample{}, fmt.Errorf("transfer: %w\nsend: %s\nreceive: %s", err, r.Sender.Stderr, r.Receiver.Stderr)
		}
		negotiated, sent := r.Sender.Find("negotiated"), r.Sender.Find("sent")
		if negotiated == nil || sent == nil {
			return sample{}, fmt.Errorf("transfer: an event is missing among %+v", r.Sender.Events)
		}
		taken := strings.TrimSpace(negotiated.Transport + " " + negotiated.Candidate)
		if taken != path {
			return sample{}, fmt.Errorf("%w: %s instead of %s", errOtherPath, taken, path)
		}
		return sample{
			what: what, wall: r.Sender.Took, inner: sent.Seconds,
			sender: r.Sender.MaxRSS, receiver: r.Receiver.MaxRSS,
		}, nil
	}
}
