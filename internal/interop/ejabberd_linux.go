package main

import (
	"bytes"
	"context"
	"crypto/x509"
	_ "embed" // the configuration
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"jetsend/internal/xmpptest"
)

const (
	// apiTimeout bounds one call of ejabberd's HTTP API.
	apiTimeout = 10 * time.Second
	// apiAnswer bounds what is read of an answer: enough for an error's text.
	apiAnswer = 4096
)

//go:embed conf/ejabberd.yml.in
var ejabberdConfig string

// ejabberd is a private ejabberd, run by the Erlang machine without its
// control script: no Erlang distribution, no port mapper, no fixed user.
type ejabberd struct {
	proc   *process
	domain string
	api    string
	http   http.Client
}

func startEjabberd(ctx context.Context, s *server) error {
	libs, err := erlangLibraries()
	if err != nil {
		return err
	}
	if err := writeIdentity(s); err != nil {
		return err
	}
	config := filepath.Join(s.dir, "ejabberd.yml")
	text := strings.NewReplacer("@DOMAIN@", s.kind.domain, "@IP@", s.kind.ip, "@DIR@", s.dir).Replace(ejabberdConfig)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	spool, log := filepath.Join(s.dir, "spool"), filepath.Join(s.dir, "ejabberd.log")
	if err := os.Mkdir(spool, 0o755); err != nil {
		return fmt.Errorf("make spool: %w", err)
	}
	cmd := exec.Command("erl", "-noinput", "-mnesia", "dir", `"`+spool+`"`, "-ejabberd", "config", `"`+config+`"`, "-s", "ejabberd")
	cmd.Dir = spool
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + spool, "LANG=C.UTF-8", "ERL_LIBS=" + libs,
		"EJABBERD_CONFIG_PATH=" + config, "EJABBERD_LOG_PATH=" + log,
		"ERL_CRASH_DUMP=" + filepath.Join(s.dir, "crash.dump"),
		"ERL_MAX_PORTS=4096", // else a table for as many files as the system allows
	}
	proc, err := launch(cmd, filepath.Join(s.dir, "output.log"))
	if err != nil {
		return err
	}
	e := &ejabberd{proc: proc, domain: s.kind.domain, api: "http://" + s.kind.ip + ":5281/api/"}
	s.backend, s.logs = e, []string{log, filepath.Join(s.dir, "output.log")}
	err = waitListening(ctx, proc, serverTimeout, s.addr(), s.tlsAddr(), s.kind.ip+":5281", s.kind.ip+":5001")
	if err != nil {
		proc.kill()
		return fmt.Errorf("%w; its log: %s", err, tail(log))
	}
	return nil
}

// erlangLibraries returns the directory that holds ejabberd and its libraries.
func erlangLibraries() (string, error) {
	for _, pattern := range []string{"/usr/lib/*/ejabberd-*/ebin", "/usr/lib/ejabberd-*/ebin"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return filepath.Dir(filepath.Dir(found[0])), nil
		}
	}
	return "", errors.New("the libraries of ejabberd are not where Debian puts them")
}

// writeIdentity makes an authority and the server's key and certificate.
func writeIdentity(s *server) error {
	ca, err := xmpptest.NewCA()
	if err != nil {
		return err
	}
	leaf, err := ca.Leaf(time.Time{}, s.kind.domain, "proxy."+s.kind.domain)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return fmt.Errorf("encode private key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range leaf.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "tls.pem"), text, 0o600); err != nil {
		return fmt.Errorf("write key and certificate: %w", err)
	}
	if err := os.WriteFile(s.caFile, ca.PEM(), 0o644); err != nil {
		return fmt.Errorf("write ca: %w", err)
	}
	return nil
}

func (e *ejabberd) addUser(ctx context.Context, user, password string) error {
	return e.call(ctx, "register", map[string]any{"user": user, "host": e.domain, "password": password})
}

func (e *ejabberd) befriend(ctx context.Context, a, b string) error {
	for _, pair := range [][2]string{{a, b}, {b, a}} {
		err := e.call(ctx, "add_rosteritem", map[string]any{
			"localuser": pair[0], "localhost": e.domain, "user": pair[1], "host": e.domain,
			"nick": pair[1], "group": "", "subs": "both",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *ejabberd) stop() { e.proc.kill() } // a clean stop takes seconds and saves nothing that is wanted

// call runs a command of mod_http_api.
func (e *ejabberd) call(ctx context.Context, command string, args map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode arguments of %s: %w", command, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.api+command, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", command, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.http.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", command, err)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, apiAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("read answer to %s: %w", command, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("call %s: %s: %s", command, resp.Status, text)
	}
	return nil
}
