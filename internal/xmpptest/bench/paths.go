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

// blocks is a configuration of both ends with in-band blocks of a size.
const blocks = "transports:\n  ibb:\n    block_size: %d\n"

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
	var configs []string
	for _, size := range []int{4096, 65535} {
		config := filepath.Join(dir, fmt.Sprintf("blocks-%d.yaml", size))
		if err := os.WriteFile(config, fmt.Appendf(nil, blocks, size), 0o600); err != nil {
			return nil, nil, fmt.Errorf("write configuration: %w", err)
		}
		configs = append(configs, config)
	}
	p, err := pair.OpenOn(ctx, software, dir, o.program, o.path)
	if err != nil {
		return nil, nil, err
	}
	by := func(file source, path, note, config string, flags ...string) contender {
		what := strings.TrimSpace(fmt.Sprintf("jetsend %s %s %s", software, path, note))
		if config != "" {
			flags = append(flags, "--config", config)
		}
		return contender{file, jetsend(p, what, path, pair.Job{Send: flags, Config: config})}
	}
	return []contender{
		by(large, "s5b direct", "", ""),
		by(large, "s5b proxy", "", "", "--transport", "s5b", "--no-direct"),
		by(small, "ibb", "", "", "--transport", "ibb"),
		by(small, "ibb", "4096-byte blocks", configs[0], "--transport", "ibb"),
		by(small, "ibb", "65535-byte blocks", configs[1], "--transport", "ibb"),
	}, p.Close, nil
}

// jetsend sends through the pair and fails unless that took the path. Wall time
// is that of `jetsend send` from its start to its end, login and receipt
// included. what names the sample.
func jetsend(p *pair.Pair, what, path string, j pair.Job) func(ctx context.Context, file, inbox string) (sample, error) {
	return func(ctx context.Context, file, inbox string) (sample, error) {
		j.Files, j.Inbox = []string{file}, inbox
		r, err := p.Do(ctx, j)
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
