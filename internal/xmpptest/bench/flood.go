package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/xmpptest"
)

const (
	// sessions is how many sessions of the attacker's device the receiver is to know.
	sessions = 11
	// floodRuns is how often the small file is sent in peace, and beside each flood.
	floodRuns = 5
	// smallSize is its size.
	smallSize = 64 << 10
	// floodLead is how many stanzas of a flood come before the first honest file.
	floodLead = 10
)

// besideFloods measures an honest small transfer in peace, and beside each of the
// floods of ten kilobytes a second.
func (f *fort) besideFloods(ctx context.Context, w io.Writer) error {
	small := source{filepath.Join(f.dir, "small.bin"), smallSize}
	if err := fill(small); err != nil {
		return err
	}
	devices, err := f.knowAttacker(ctx)
	if err != nil {
		return err
	}
	peace, err := f.honestly(ctx, small)
	if err != nil {
		return fmt.Errorf("small file in peace: %w", err)
	}
	_, _ = fmt.Fprintf(w, "a small file of an honest contact in peace: %.2f s\n", peace)
	user, _, _ := strings.Cut(f.attacker.JID, "@")
	for _, flood := range xmpptest.Floods() {
		g, err := flood.Begin(ctx, f.server, user, f.attacker.Password, f.target(), devices)
		if err != nil {
			return err
		}
		begun := time.Now()
		for g.Stanzas() < floodLead && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		took, err := f.honestly(ctx, small)
		lasted := time.Since(begun).Seconds()
		stanzas, _, lost := g.End()
		if err := errors.Join(err, lost); err != nil {
			return fmt.Errorf("small file beside %s: %w", flood, err)
		}
		_, _ = fmt.Fprintf(w, "... beside a flood of %s, %.0f a second: %.2f s, %.1fx\n", flood, float64(stanzas)/lasted, took, took/peace)
	}
	return nil
}

// honestly sends the file a few times and returns the mean of the seconds.
func (f *fort) honestly(ctx context.Context, file source) (mean float64, err error) {
	for range floodRuns {
		s, err := f.send(ctx, "s5b", file)
		if err != nil {
			return 0, err
		}
		mean += s.wall.Seconds() / floodRuns
	}
	return mean, nil
}

// knowAttacker has the receiver know the attacker's device with many sessions: he
// sends a file, and forgets that he did, again and again.
func (f *fort) knowAttacker(ctx context.Context) (d xmpptest.Devices, err error) {
	file := source{filepath.Join(f.dir, "hello.bin"), 1}
	if err := fill(file); err != nil {
		return d, err
	}
	home := filepath.Join(f.attacker.Home, "state")
	before := filepath.Join(f.dir, "before")
	if err := f.run(ctx, "devices", "list"); err != nil { // makes the device, and no session
		return d, err
	}
	if err := os.Rename(home, before); err != nil {
		return d, fmt.Errorf("keep state: %w", err)
	}
	for range sessions {
		if err := errors.Join(os.RemoveAll(home), os.CopyFS(home, os.DirFS(before)), os.Chmod(home, 0o700)); err != nil {
			return d, fmt.Errorf("restore state: %w", err)
		}
		if err := f.run(ctx, "send", "--json", "--no-resume", file.path, f.server.JID("juliet")); err != nil {
			return d, err
		}
	}
	for _, e := range f.receiver.Events() {
		if e.Event == "negotiated" && strings.HasPrefix(e.Peer, f.attacker.JID) && len(e.Devices) > 0 {
			d.From = e.Devices[0].ID
		}
	}
	d.To = f.device
	if d.From == 0 || d.To == 0 {
		return d, errNotKnown
	}
	return d, nil
}

var errNotKnown = errors.New("the devices are not known")

// run runs one command of the attacker's to its good end.
func (f *fort) run(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := f.attacker.Start("", nil, args...)
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), p.Stop(stopTime))
	}
	end := p.End()
	if sent := end.Find("negotiated"); sent != nil && len(sent.Devices) > 0 {
		f.device = sent.Devices[0].ID
	}
	if end.Err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], end.Err, end.Stderr)
	}
	return nil
}

// target is the full JID of the receiver.
func (f *fort) target() (full string) {
	for _, e := range f.receiver.Events() {
		if e.Event == "online" {
			full = e.JID
		}
	}
	return full
}
