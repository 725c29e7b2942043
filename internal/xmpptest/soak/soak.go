package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/pair"
)

// soak is two parties and what happens to them.
type soak struct {
	o       options
	w       io.Writer
	server  *xmpptest.Server
	parties [2]*party
	begin   time.Time

	mu        sync.Mutex
	done, cut int
	commands  int
	bytes     int64
	faults    map[string]int
	received  map[string]string // transfer -> path
	problems  []string
}

// party is an account with its daemon.
type party struct {
	user    string
	account pair.Account
	inbox   string
	stream  *xmpptest.Relay // to the server
	path    *xmpptest.Relay // to the daemon's SOCKS5 port
	daemon  *pair.Process
	configs struct{ daemon, command string }
}

// open starts the server and both daemons. On failure what was started is ended.
func open(ctx context.Context, w io.Writer, o options) (s *soak, err error) {
	s = &soak{o: o, w: w, begin: time.Now(), faults: map[string]int{}, received: map[string]string{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	program, err := filepath.Abs(o.program)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", o.program, err)
	}
	home := filepath.Join(o.dir, "server")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	users := []string{"romeo", "juliet"}
	accounts := []xmpptest.Account{{User: users[0], Password: "romeo-pw"}, {User: users[1], Password: "juliet-pw"}}
	s.server, err = xmpptest.StartServer(ctx, home, xmpptest.Options{Software: xmpptest.Software(o.server), Accounts: accounts, Mutual: true})
	if err != nil {
		return nil, err
	}
	for i, a := range accounts {
		s.parties[i] = &party{user: a.User, account: pair.Account{
			JID: s.server.JID(a.User), Password: a.Password, Home: filepath.Join(o.dir, a.User),
			CAFile: s.server.CAFile, Program: program, Path: o.path,
		}}
		if err := s.prepare(s.parties[i]); err != nil {
			return nil, err
		}
	}
	for _, p := range s.parties {
		if p.daemon, err = s.startDaemon(ctx, p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// prepare makes a party's directories, relays and configurations.
func (s *soak) prepare(p *party) error {
	p.inbox = filepath.Join(p.account.Home, "inbox")
	if err := os.MkdirAll(p.inbox, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	port, err := xmpptest.FreePort()
	if err != nil {
		return err
	}
	if p.stream, err = xmpptest.NewRelay(s.server.Addr, xmpptest.RelayOptions{}); err != nil {
		return err
	}
	p.account.Server = p.stream.Addr
	p.path, err = xmpptest.NewRelay(fmt.Sprintf("127.0.0.1:%d", port), xmpptest.RelayOptions{SOCKS5: true})
	if err != nil {
		return err
	}
	p.configs.daemon = filepath.Join(p.account.Home, "daemon.yaml")
	p.configs.command = filepath.Join(p.account.Home, "command.yaml")
	daemon := fmt.Sprintf("transports: {s5b: {listen_ports: [%d], advertise: ['%s']}}\n", port, p.path.Addr)
	const command = "transports: {s5b: {advertise: ['127.0.0.1:1']}}\n" // nobody there: the other end is dialled
	return errors.Join(os.WriteFile(p.configs.daemon, []byte(daemon), 0o600), os.WriteFile(p.configs.command, []byte(command), 0o600))
}

// onlineLimit is how long a daemon may take to be online.
const onlineLimit = 30 * time.Second

// startDaemon starts a party's daemon and waits until it is online.
func (s *soak) startDaemon(ctx context.Context, p *party) (*pair.Process, error) {
	d, err := p.account.Start(p.configs.daemon, func(e pair.Event) { s.observe(p, e) },
		"--json", "receive", "--accept", "contacts", "--dir", p.inbox, "--drain", "2s")
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(onlineLimit)
	defer late.Stop()
	select {
	case <-d.Online():
		return d, nil
	case <-d.Done():
		err = errors.New("it ended")
	case <-late.C:
		err = errors.New("it takes too long")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	d.Kill()
	return nil, fmt.Errorf("wait for the daemon of %s: %w\n%s", p.user, err, d.Stderr())
}

// observe notes what a daemon has received.
func (s *soak) observe(p *party, e pair.Event) {
	switch e.Event {
	case "garbage":
		s.blame("the daemon of %s wrote something that is no event: %s", p.user, e.Line)
	case "received":
		s.mu.Lock()
		_, twice := s.received[e.Transfer]
		s.received[e.Transfer] = e.Path
		s.mu.Unlock()
		if twice {
			s.blame("transfer %s was received twice", e.Transfer)
		}
	}
}

// close ends everything.
func (s *soak) close() {
	for _, p := range s.parties {
		if p == nil {
			continue
		}
		if p.daemon != nil {
			p.daemon.Kill()
		}
		for _, r := range []*xmpptest.Relay{p.stream, p.path} {
			if r != nil {
				r.Close()
			}
		}
	}
	if s.server != nil {
		s.server.Kill()
	}
}

// saboteur takes something away every few seconds, and gives it back.
func (s *soak) saboteur(ctx context.Context, rnd *rand.Rand) {
	for {
		sleep(ctx, time.Second+time.Duration(rnd.Int64N(int64(6*time.Second))))
		if ctx.Err() != nil {
			return
		}
		p := s.parties[rnd.IntN(len(s.parties))]
		hold := time.Duration(rnd.Int64N(int64(2 * time.Second)))
		relay := p.path
		what := []string{"cut path", "stall path", "refuse path", "cut stream", "stall stream", "kill server", "stop server"}[rnd.IntN(7)]
		s.mu.Lock()
		s.faults[what]++
		s.mu.Unlock()
		switch what {
		case "cut stream", "stall stream":
			relay = p.stream
		}
		switch what {
		case "kill server", "stop server":
			s.bounce(ctx, what == "kill server", hold)
		case "cut path", "cut stream":
			relay.Cut()
		case "refuse path":
			relay.Refuse()
		default:
			relay.Stall()
		}
		sleep(ctx, hold)
		relay.Heal()
	}
}

// bounce takes the server away and brings it back, also when the time is over.
func (s *soak) bounce(ctx context.Context, kill bool, hold time.Duration) {
	if kill {
		s.server.Kill()
	} else if err := s.server.Stop(); err != nil {
		s.blame("stop the server: %v", err)
	}
	sleep(ctx, hold)
	if err := s.server.Restart(context.WithoutCancel(ctx)); err != nil {
		s.blame("start the server again: %v", err)
	}
}

func (s *soak) line(format string, args ...any) {
	_, _ = fmt.Fprintf(s.w, "%7.1f s  %s\n", time.Since(s.begin).Seconds(), fmt.Sprintf(format, args...)) // a lost line is no failure
}

func (s *soak) blame(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func (s *soak) wrong() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.problems) > 0
}
