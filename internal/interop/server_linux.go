package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// serverTimeout bounds the start of a server: Prosody takes 0.3 s, ejabberd 2 s.
const serverTimeout = 30 * time.Second

// server is one private XMPP server, on its own loopback address with the
// standard ports 5222 (STARTTLS) and 5223 (direct TLS) and a SOCKS5 proxy.
type server struct {
	kind   serverKind
	caFile string   // PEM of the only authority that vouches for it
	dir    string   // of its own
	logs   []string // files worth keeping when a cell fails
	backend
}

// backend is what differs from server to server.
type backend interface {
	// addUser makes an account.
	addUser(ctx context.Context, user, password string) error
	// befriend gives two users, both offline, a mutual presence subscription.
	befriend(ctx context.Context, a, b string) error
	// stop ends the server.
	stop()
}

// serverKind is a server that can be started.
type serverKind struct {
	name, domain, ip string
	start            func(ctx context.Context, s *server) error // sets logs and backend, writes caFile
}

// Prosody 0.12 on its default network backend, epoll, and on libevent.
const (
	stockProsody = "prosody"
	eventProsody = "prosody-event"
)

// serverKinds are the servers that the cells run against. The domains are
// reserved for tests (RFC 6761).
func serverKinds() []serverKind {
	return []serverKind{
		{stockProsody, "jet.test", "127.0.0.11", startProsody},
		{eventProsody, "event.test", "127.0.0.13", startProsody},
		{"ejabberd", "ej.test", "127.0.0.12", startEjabberd},
	}
}

// up starts the server.
func (k serverKind) up(ctx context.Context) (*server, error) {
	s := &server{kind: k, dir: filepath.Join(base, k.name)}
	s.caFile = filepath.Join(s.dir, "ca.pem")
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", k.name, err)
	}
	if err := k.start(ctx, s); err != nil {
		return nil, fmt.Errorf("start %s: %w", k.name, err)
	}
	if err := trust(s.caFile); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// jid returns the bare JID of a user.
func (s *server) jid(user string) string { return user + "@" + s.kind.domain }

// addr returns host:port for clients, STARTTLS.
func (s *server) addr() string { return s.kind.ip + ":5222" }

// tlsAddr returns host:port for clients, direct TLS.
func (s *server) tlsAddr() string { return s.kind.ip + ":5223" }

// passwordOf is the password of a user that the rig made.
func passwordOf(user string) string { return "pw-of-" + user }
