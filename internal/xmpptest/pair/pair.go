// Package pair runs two jetsend processes against each other: a private
// server, one account that sends and one that receives, each with a state
// directory of its own, as two machines would have.
package pair

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"jetsend/internal/xmpptest"
)

// stopTimeout is how long a jetsend may take to stop when asked: it has two
// seconds to tell its peer and as long again for the rest.
const stopTimeout = 5 * time.Second

// The two ends.
const (
	senderUser   = "romeo"
	receiverUser = "juliet"
)

// errEnded is returned when the receiver ended before it was online.
var errEnded = errors.New("the receiver ended before it was online")

// Pair is a private server and its two accounts, which are subscribed to each
// other. One transfer at a time.
type Pair struct {
	Server   *xmpptest.Server
	Sender   string // bare JID
	Receiver string // bare JID

	dir, program, path string
}

// Open starts a private Prosody below dir, an empty directory of the caller's.
// program is the jetsend to run, path the PATH to run it with.
func Open(ctx context.Context, dir, program, path string) (*Pair, error) {
	return OpenOn(ctx, xmpptest.Prosody, dir, program, path)
}

// OpenOn is [Open] with the server software of choice.
func OpenOn(ctx context.Context, software xmpptest.Software, dir, program, path string) (*Pair, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", program, err)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find jetsend: %w", err)
	}
	serverDir := filepath.Join(dir, "server")
	for _, d := range []string{serverDir, filepath.Join(dir, senderUser), filepath.Join(dir, receiverUser)} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
	}
	s, err := xmpptest.StartServer(ctx, serverDir, xmpptest.Options{
		Software: software,
		Mutual:   true,
		Accounts: []xmpptest.Account{{User: senderUser, Password: password(senderUser)}, {User: receiverUser, Password: password(receiverUser)}},
	})
	if err != nil {
		return nil, err
	}
	return &Pair{
		Server: s, Sender: s.JID(senderUser), Receiver: s.JID(receiverUser),
		dir: dir, program: program, path: path,
	}, nil
}

// Close stops the server.
func (p *Pair) Close() error { return p.Server.Stop() }

// password is that of a user of a server that lives for minutes on loopback.
func password(user string) string { return user + "-pw" }

// End is what one process of a transfer left behind.
type End struct {
	Events []Event
	Stderr string
	Err    error // how the process ended; nil is exit code 0
	Begun  time.Time
	Took   time.Duration // from its start to its end
	MaxRSS int64         // peak memory, bytes; 0 where the system does not say
}

// Result is a transfer seen from both ends.
type Result struct{ Sender, Receiver End }

// Job is one `send` to a `receive --once`.
type Job struct {
	Files         []string
	Inbox         string
	Send, Receive []string // more flags
	// Server takes the place of the server's address, host:port, and Config is the
	// receiver's configuration, unless they are empty.
	Server, Config string
	// ReceiverServer takes the place of Server at the receiver.
	ReceiverServer string
	// Settle is for how long the receiver has been online when the sender starts.
	Settle time.Duration
}

// Transfer sends one file into the directory inbox and returns when both
// processes are gone. flags are more flags for `jetsend send`. A transfer that
// fails is not an error: see [End.Err].
func (p *Pair) Transfer(ctx context.Context, file, inbox string, flags ...string) (*Result, error) {
	return p.Do(ctx, Job{Files: []string{file}, Inbox: inbox, Send: flags})
}

// Do does a job as Transfer does.
func (p *Pair) Do(ctx context.Context, j Job) (*Result, error) {
	receiver, sender := p.account(receiverUser), p.account(senderUser)
	if j.Server != "" {
		receiver.Server, sender.Server = j.Server, j.Server
	}
	if j.ReceiverServer != "" {
		receiver.Server = j.ReceiverServer
	}
	receive := append([]string{"receive", "--once", "--dir", j.Inbox, "--from", p.Sender, "--json"}, j.Receive...)
	r, err := receiver.Start(j.Config, nil, receive...)
	if err != nil {
		return nil, err
	}
	defer r.halt()
	select {
	case <-r.Online():
	case <-r.Done():
		return nil, fmt.Errorf("%w: %w\n%s", errEnded, r.Wait(), r.Stderr())
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the receiver: %w", ctx.Err())
	}
	select {
	case <-time.After(j.Settle):
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the receiver: %w", ctx.Err())
	}
	send := append(append([]string{"send", "--json"}, j.Files...), p.Receiver)
	s, err := sender.Start("", nil, append(send, j.Send...)...)
	if err != nil {
		return nil, err
	}
	defer s.halt()
	for _, c := range []*Process{s, r} {
		select {
		case <-c.Done():
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", c.Args()[0], ctx.Err())
		}
		// A sender that failed leaves a receiver that goes on waiting.
		if c == s && c.Wait() != nil {
			r.halt()
		}
	}
	return &Result{Sender: s.End(), Receiver: r.End()}, nil
}

// account is an end of the pair.
func (p *Pair) account(user string) Account {
	return Account{
		JID: p.Server.JID(user), Password: password(user), Home: filepath.Join(p.dir, user),
		Server: p.Server.Addr, CAFile: p.Server.CAFile, Program: p.program, Path: p.path,
	}
}
