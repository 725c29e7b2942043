package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

// settled is how long a receiver far away is given to be done with its login.
const settled = 3 * time.Second

// trips prints the round trips of a send of one byte where every connection takes its
// time, on each server, for each way to encrypt, the first time and later.
func (g *goals) trips(ctx context.Context) error {
	path := filepath.Join(g.dir, "byte.bin")
	if err := fill(source{path, 1}); err != nil {
		return err
	}
	g.say("round trips of a `send` of one byte, every connection %s a round trip but for its TCP handshake", roundTrip)
	for _, software := range []xmpptest.Software{xmpptest.Prosody, xmpptest.ProsodySASL2, xmpptest.Ejabberd} {
		for _, direct := range []bool{false, true} {
			err := g.tripsOn(ctx, software, direct, path)
			if errors.Is(err, xmpptest.ErrNoEjabberd) || errors.Is(err, xmpptest.ErrNoModules) {
				g.say("round trips on %s are left out: %v", software, err)
				break
			}
			if err != nil {
				return err
			}
		}
	}
	g.say("\nround trips until")
	for _, totals := range g.trip {
		g.say("%s", totals)
	}
	return nil
}

// tripsOn prints the round trips on one server: cold, when the sender's state is new and
// the contact's device has never been seen, and warm, with the state of that transfer.
func (g *goals) tripsOn(ctx context.Context, software xmpptest.Software, direct bool, file string) (err error) {
	name := fmt.Sprintf("%s, STARTTLS", software)
	if direct {
		name = fmt.Sprintf("%s, direct TLS", software)
	}
	dir, err := os.MkdirTemp(g.dir, "trips-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	p, err := pair.OpenOn(ctx, software, dir, g.program, g.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, state := range []string{"cold", "warm"} {
		if err := g.tripOf(ctx, p, dir, name+", "+state, direct, file); err != nil {
			return err
		}
	}
	return nil
}

// tripOf sends the file once and prints the round trips.
func (g *goals) tripOf(ctx context.Context, p *pair.Pair, dir, name string, direct bool, file string) error {
	dir, err := os.MkdirTemp(dir, "trip-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	l := &line{}
	defer l.close()
	at := p.Server.Addr
	if direct {
		at = p.Server.TLSAddr
	}
	ours, err := l.relay(at, direct, ofServer)
	if err != nil {
		return err
	}
	theirs, err := l.relay(at, direct, 0)
	if err != nil {
		return err
	}
	sender, err := l.config(filepath.Join(dir, "sender.yaml"), ours, byPeer)
	if err != nil {
		return err
	}
	receiver, err := l.config(filepath.Join(dir, "receiver.yaml"), theirs, byUs)
	if err != nil {
		return err
	}
	log := filepath.Join(dir, "log")
	r, err := transferBy(ctx, p, pair.Job{
		Files: []string{file}, Inbox: dir, Server: ours, Config: receiver, ReceiverServer: theirs, Settle: settled,
		Send: []string{"--config", sender, "--log-file", log, "--log-level", "trace"},
	})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	t := &timeline{begun: r.Sender.Begun, took: r.Sender.Took, names: strings.NewReplacer(p.Sender, "account", p.Receiver, "contact", p.Server.Domain, "server")}
	if err := t.read(string(text), l.taken()); err != nil {
		return err
	}
	g.say("\n%s: after how many round trips, since the start, for how long; what was sent -> what came", name)
	totals := t.print(g.say)
	g.trip = append(g.trip, name+": "+strings.Join(totals, ", "))
	return nil
}

// The connections that relays carry, as the sender sees them.
const (
	ofServer = iota + 1 // to its server
	byUs                // for the file, dialled by the sender
	byPeer              // for the file, dialled by the receiver
)

// piece is what a relay took in.
type piece struct {
	at   time.Time // when the sender wrote or could read it
	sent bool      // by the sender
	of   int
	head string // its first bytes
	size int
}

// line is all relays of a transfer.
type line struct {
	relays []*xmpptest.Relay

	mu     sync.Mutex
	pieces []piece
}

// relay starts a relay whose connections take their time; of is what it carries, 0 when
// the sender has no part in it.
func (l *line) relay(target string, direct bool, of int) (addr string, err error) {
	o := xmpptest.RelayOptions{
		Up: []xmpptest.Fault{xmpptest.Latency(halfway)}, Down: []xmpptest.Fault{xmpptest.Latency(halfway)},
		DirectTLS: direct,
	}
	if of != 0 {
		o.Watch = func(up bool, p []byte) { l.note(up != (of == byPeer), of, p) }
	}
	r, err := xmpptest.NewRelay(target, o)
	if err != nil {
		return "", err
	}
	l.relays = append(l.relays, r)
	return r.Addr, nil
}

// note keeps a piece. What comes to the sender has half of its way before it.
func (l *line) note(sent bool, of int, p []byte) {
	at := time.Now()
	if !sent {
		at = at.Add(halfway)
	}
	const head = 64
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pieces = append(l.pieces, piece{at, sent, of, string(p[:min(len(p), head)]), len(p)})
}

func (l *line) taken() []piece {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pieces
}

func (l *line) close() {
	for _, r := range l.relays {
		r.Close()
	}
}

// config writes the configuration of an end, which is reached through relays alone.
func (l *line) config(path, server string, of int) (string, error) {
	port, err := xmpptest.FreePort()
	if err != nil {
		return "", err
	}
	data, err := l.relay(fmt.Sprintf("127.0.0.1:%d", port), false, of)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("transports:\n  s5b: {listen_ports: [%d], advertise: ['%s']}\n", port, data)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return path, nil
}
