package main

import (
	"context"
	_ "embed" // the configurations
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/stun"
	"jetsend/internal/xmpptest"
	"jetsend/internal/xmpptest/child"
	"jetsend/internal/xmpptest/pair"
)

// The servers.
const (
	serverProsody  = "prosody"
	serverEjabberd = "ejabberd"
)

const (
	// domain is that of the server, reserved for tests (RFC 6761).
	domain = "jet.test"
	// The two accounts.
	senderUser   = "romeo"
	receiverUser = "juliet"
)

// stunTimeout bounds the question to a STUN host.
const stunTimeout = 10 * time.Second

// proxyMark is where the proxy begins in a configuration.
const proxyMark = "@PROXY@"

//go:embed conf/prosody.cfg.lua.in
var prosodyConfig string

//go:embed conf/ejabberd.yml.in
var ejabberdConfig string

// server is an XMPP server with a SOCKS5 proxy, unless noProxy, and a STUN host that
// it names.
type server struct {
	dir, caFile string
	noProxy     bool
	procs       []*child.Process
}

// startServer starts one with both accounts, which are contacts of each other. It
// listens on the standard ports of all addresses of this machine.
func startServer(ctx context.Context, kind string, noProxy bool) (*server, error) {
	s := &server{dir: filepath.Join(base, kind), noProxy: noProxy}
	s.caFile = filepath.Join(s.dir, "ca.pem")
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", kind, err)
	}
	err := xmpptest.WriteIdentity(filepath.Join(s.dir, "tls.pem"), s.caFile, domain, "proxy."+domain)
	if err == nil && kind == serverProsody {
		err = s.prosody(ctx)
	} else if err == nil {
		err = s.ejabberd(ctx)
	}
	for _, addr := range stunAddresses() {
		if err == nil {
			err = askSTUN(ctx, addr)
		}
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("start %s: %w", kind, err)
	}
	return s, nil
}

// askSTUN makes sure that a STUN host answers over TCP (RFC 8489).
func askSTUN(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, stunTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("ask stun: %w", err)
	}
	defer func() { _ = c.Close() }()
	if _, err := stun.Ask(ctx, c); err != nil {
		return fmt.Errorf("ask stun at %s: %w", addr, err)
	}
	return nil
}

// stop ends the server.
func (s *server) stop() {
	for _, p := range s.procs {
		p.Kill() // nothing of it is wanted any more
	}
}

// configure writes a configuration.
func (s *server) configure(name, template string) (path string, err error) {
	path = filepath.Join(s.dir, name)
	if s.noProxy {
		template, _, _ = strings.Cut(template, proxyMark)
	}
	text := strings.NewReplacer("@DOMAIN@", domain, "@DIR@", s.dir, proxyMark, "",
		"@STUN@", "stun."+domain, "@STUN4@", stunV4, "@STUN6@", stunV6).Replace(template)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return path, nil
}

// launch starts a process of the server and waits until it listens.
func (s *server) launch(ctx context.Context, cmd *exec.Cmd, addrs ...string) error {
	log := filepath.Join(s.dir, filepath.Base(cmd.Path)+".output")
	out, err := os.Create(log)
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = s.dir
	proc, err := child.Start(cmd)
	if err != nil {
		return err
	}
	s.procs = append(s.procs, proc)
	for _, addr := range addrs {
		err := poll(ctx, "wait for "+addr, func() (bool, error) {
			select {
			case <-proc.Done():
				text, _ := os.ReadFile(log) // "" says as much
				return false, fmt.Errorf("%s ended by itself: %s", cmd.Path, text)
			default:
			}
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				return false, nil
			}
			return true, c.Close()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addresses are all that the server must listen on, but for its STUN host.
func (s *server) addresses() []string {
	var list []string
	for _, ip := range []string{serverV4, serverV6} {
		list = append(list, net.JoinHostPort(ip, "5222"))
		if !s.noProxy {
			list = append(list, net.JoinHostPort(ip, "5000"))
		}
	}
	return list
}

// stunAddresses are those of the STUN host.
func stunAddresses() []string {
	return []string{net.JoinHostPort(stunV4, "3478"), net.JoinHostPort(stunV6, "3478")}
}

// account is a user of the server, whose jetsend runs in the namespaces of homes.
func (s *server) account(user, jetsend string) (pair.Account, error) {
	dir := filepath.Join(s.dir, "of-"+user)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return pair.Account{}, fmt.Errorf("make directory of %s: %w", user, err)
	}
	return pair.Account{
		JID: user + "@" + domain, Password: passwordOf(user), Home: dir, Server: domain + ":5222",
		CAFile: s.caFile, Program: jetsend, Path: os.Getenv("PATH"),
	}, nil
}

// passwordOf is the password of a user of a server that lives for minutes.
func passwordOf(user string) string { return "pw-of-" + user }
