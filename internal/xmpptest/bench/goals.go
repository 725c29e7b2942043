package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

const (
	manyFiles, manySize = 10_000, 4 << 10
	someFiles           = 300
	farFiles            = 40
	// Bytes of files that go in-band over a long way.
	farSmall, farLarge = 2_000_000, 10_000_000
	// halfway is half a round trip of the connections that are far.
	halfway = 50 * time.Millisecond
	// hugeLimit bounds the transfer of a million files, which the disk has to be told of
	// one by one.
	hugeLimit = time.Hour
)

// The targets.
const (
	ofRsyncSynced = 0.5
	againSeconds  = 0.5
	someSeconds   = 1.0
	ofOneFar      = 1.3
	maxMiB        = 128
	ofAlone       = 1.1
)

// goals measures what sets must reach.
type goals struct {
	options
	w    io.Writer
	pair *pair.Pair
	// copies are removed when all have been measured: what a disk has to do about what was
	// removed, the next one would pay for.
	copies []string
	trip   []string // the totals of each list of round trips
}

// sets measures what sets must reach, each beside its target.
func sets(ctx context.Context, w io.Writer, o options) (err error) {
	o.dir = filepath.Join(o.dir, "sets")
	if err := os.Mkdir(o.dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	p, err := pair.Open(ctx, o.dir, o.program, o.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	g := &goals{options: o, w: w, pair: p}
	g.say("sets: medians of %d runs by turns, but for the last", o.runs)
	for _, m := range []struct {
		name    string
		measure func(context.Context) error
	}{{"beside", g.beside}, {"many", g.many}, {"some", g.some}, {"far", g.far}, {"trips", g.trips}, {"inband", g.farInband}, {"inside", g.inside}, {"several", g.toSeveral}, {"huge", g.huge}} {
		if o.sets != "" && o.sets != "all" && o.sets != m.name {
			continue
		}
		if err := errors.Join(m.measure(ctx), g.clear()); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what was copied.
func (g *goals) clear() (err error) {
	for _, into := range g.copies {
		err = errors.Join(err, os.RemoveAll(into))
	}
	g.copies = nil
	return err
}

func (g *goals) say(format string, args ...any) { _, _ = fmt.Fprintf(g.w, format+"\n", args...) }

// judge prints a measured value beside its target.
func (g *goals) judge(what string, value, target float64, unit, how string) {
	verdict := "reached"
	if value > target {
		verdict = "MISSED"
	}
	g.say("%-58s %7.2f %-28s target %.4g: %s; %s", what, value, unit, target, verdict, how)
}

// transfer does a job, which has to come to a good end, and returns both ends.
func (g *goals) transfer(ctx context.Context, j pair.Job) (*pair.Result, error) {
	return transferBy(ctx, g.pair, j)
}

// transferBy does a job of a pair, which has to come to a good end.
func transferBy(ctx context.Context, p *pair.Pair, j pair.Job) (*pair.Result, error) {
	r, err := p.Do(ctx, j)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.Sender.Err, r.Receiver.Err); err != nil {
		return nil, fmt.Errorf("transfer: %w\nsend: %s\nreceive: %s", err, r.Sender.Stderr, r.Receiver.Stderr)
	}
	return r, nil
}

// rival does the same as others do; it returns how long it took.
type rival struct {
	name string
	run  func(ctx context.Context, into string) (time.Duration, error)
}

// jetsend is a job as a rival; its inbox is where it is told to go.
func (g *goals) jetsend(name string, j pair.Job) rival {
	return rival{name, func(ctx context.Context, into string) (time.Duration, error) {
		j.Inbox = into
		r, err := g.transfer(ctx, j)
		if err != nil {
			return 0, err
		}
		return r.Sender.Took, nil
	}}
}

// compete lets rivals run by turns, each into a directory of its own, and returns the
// medians in seconds.
func (g *goals) compete(ctx context.Context, rivals ...rival) ([]float64, error) {
	took := make([][]time.Duration, len(rivals))
	for range g.runs {
		for i, r := range rivals {
			d, err := g.into(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			took[i] = append(took[i], d)
		}
	}
	var medians []float64
	for _, all := range took {
		medians = append(medians, median(all))
	}
	return medians, nil
}

// into runs a rival into a directory that is removed, on a disk with nothing to do.
func (g *goals) into(ctx context.Context, r rival) (took time.Duration, err error) {
	into, err := os.MkdirTemp(g.dir, "inbox-")
	if err != nil {
		return 0, fmt.Errorf("make directory: %w", err)
	}
	settle()
	g.copies = append(g.copies, into)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return r.run(ctx, into)
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return all[len(all)/2].Seconds()
}

// folder makes a folder of so many files in folders of a hundred.
func (g *goals) folder(name string, files int, size int64) (string, error) {
	root := filepath.Join(g.dir, name)
	for i := range files {
		dir := filepath.Join(root, fmt.Sprintf("%05d", i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return "", fmt.Errorf("make folder: %w", err)
			}
		}
		if err := scribble(filepath.Join(dir, fmt.Sprintf("%07d", i)), i, size); err != nil {
			return "", err
		}
	}
	return root, nil
}

// files makes so many files.
func (g *goals) files(name string, files int, size int64) (paths []string, err error) {
	dir := filepath.Join(g.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	for i := range files {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.bin", name, i))
		if err := scribble(path, i, size); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// some sends many files that were named one by one.
func (g *goals) some(ctx context.Context) error {
	paths, err := g.files("some", someFiles, manySize)
	if err != nil {
		return err
	}
	s, err := g.compete(ctx, g.jetsend("jetsend", pair.Job{Files: paths}))
	if err != nil {
		return err
	}
	g.judge(fmt.Sprintf("%d files of 4 KiB in one send, loopback", someFiles), s[0], someSeconds, "s", "login included")
	return nil
}

// far sends files where every connection takes its time.
func (g *goals) far(ctx context.Context) (err error) {
	paths, err := g.files("far", farFiles, manySize)
	if err != nil {
		return err
	}
	port, err := xmpptest.FreePort()
	if err != nil {
		return err
	}
	slow := xmpptest.RelayOptions{Up: []xmpptest.Fault{xmpptest.Latency(halfway)}, Down: []xmpptest.Fault{xmpptest.Latency(halfway)}}
	server, err := xmpptest.NewRelay(g.pair.Server.Addr, slow)
	if err != nil {
		return err
	}
	defer server.Close()
	slow.SOCKS5 = true
	path, err := xmpptest.NewRelay(fmt.Sprintf("127.0.0.1:%d", port), slow)
	if err != nil {
		return err
	}
	defer path.Close()
	config := filepath.Join(g.dir, "far.yaml")
	text := fmt.Sprintf("transports:\n  s5b: {listen_ports: [%d], advertise: ['%s'], proxies: [none]}\n", port, path.Addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	job := pair.Job{Files: paths, Server: server.Addr, Config: config}
	one := job
	one.Files = paths[:1]
	s, err := g.compete(ctx, g.jetsend("jetsend", job), g.jetsend("one", one))
	if err != nil {
		return err
	}
	g.judge(fmt.Sprintf("%d files of 4 KiB, every connection 100 ms a round trip", farFiles), s[0]/s[1], ofOneFar, "of one file", fmt.Sprintf("%.2f s, one file %.2f s", s[0], s[1]))
	return nil
}

// farInband sends a file in-band where the server is far away from both ends.
func (g *goals) farInband(ctx context.Context) error {
	for _, size := range []int64{farSmall, farLarge} {
		file := source{filepath.Join(g.dir, fmt.Sprintf("inband-%d.bin", size)), size}
		if err := fill(file); err != nil {
			return err
		}
		slow := xmpptest.RelayOptions{Up: []xmpptest.Fault{xmpptest.Latency(halfway / 2)}, Down: []xmpptest.Fault{xmpptest.Latency(halfway / 2)}}
		server, err := xmpptest.NewRelay(g.pair.Server.Addr, slow)
		if err != nil {
			return err
		}
		s, err := g.compete(ctx, g.jetsend("jetsend", pair.Job{Files: []string{file.path}, Server: server.Addr, Send: []string{"--transport", "ibb"}}))
		server.Close()
		if err != nil {
			return err
		}
		g.say("%d bytes in-band, 100 ms a round trip from end to end: %.2f s with the login, %.2f MB/s", size, s[0], float64(size)/s[0]/1e6)
	}
	return nil
}

// inside sends a large file in a folder, and alone.
func (g *goals) inside(ctx context.Context) error {
	root := filepath.Join(g.dir, "inside")
	if err := os.Mkdir(root, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	file := source{filepath.Join(root, "large.bin"), g.size}
	if err := fill(file); err != nil {
		return err
	}
	s, err := g.compete(ctx, g.jetsend("jetsend", pair.Job{Files: []string{root}}), g.jetsend("alone", pair.Job{Files: []string{file.path}}))
	if err != nil {
		return err
	}
	g.judge(fmt.Sprintf("%d bytes inside a folder", g.size), s[0]/s[1], ofAlone, "of the same file alone", fmt.Sprintf("%.2f s, alone %.2f s", s[0], s[1]))
	return os.RemoveAll(root)
}

// huge sends a million files without a byte.
func (g *goals) huge(ctx context.Context) error {
	if g.entries == 0 {
		return nil
	}
	root, err := g.folder("huge", g.entries, 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, hugeLimit)
	defer cancel()
	var r *pair.Result
	took, err := g.into(context.WithoutCancel(ctx), rival{"jetsend", func(_ context.Context, into string) (time.Duration, error) {
		if r, err = g.transfer(ctx, pair.Job{Files: []string{root}, Inbox: into}); err != nil {
			return 0, err
		}
		return r.Sender.Took, nil
	}})
	if err != nil {
		return err
	}
	peak := max(r.Sender.MaxRSS, r.Receiver.MaxRSS)
	g.judge(fmt.Sprintf("%d empty files in a folder complete, peak memory", g.entries), float64(peak)/(1<<20), maxMiB, "MiB",
		fmt.Sprintf("sender %.1f, receiver %.1f, %.0f s", float64(r.Sender.MaxRSS)/(1<<20), float64(r.Receiver.MaxRSS)/(1<<20), took.Seconds()))
	return os.RemoveAll(root)
}
