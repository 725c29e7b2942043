package main

import (
	"context"
	_ "embed" // the configuration
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"jetsend/internal/xmpptest"
)

//go:embed conf/ejabberd.yml.in
var ejabberdConfig string

// ejabberd is a private ejabberd, run by the Erlang machine without its
// control script: no Erlang distribution, no port mapper, no fixed user.
type ejabberd struct {
	proc   *process
	domain string
	api    xmpptest.EjabberdAPI
}

func startEjabberd(ctx context.Context, s *server) error {
	libs, err := xmpptest.EjabberdLibraries()
	if err != nil {
		return err
	}
	if err := xmpptest.WriteIdentity(filepath.Join(s.dir, "tls.pem"), s.caFile, s.kind.domain, "proxy."+s.kind.domain); err != nil {
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
	e := &ejabberd{proc: proc, domain: s.kind.domain, api: xmpptest.EjabberdAPI("http://" + s.kind.ip + ":5281/api/")}
	s.backend, s.logs = e, []string{log, filepath.Join(s.dir, "output.log")}
	err = waitListening(ctx, proc, serverTimeout, s.addr(), s.tlsAddr(), s.kind.ip+":5281", s.kind.ip+":5001")
	if err != nil {
		proc.kill()
		return fmt.Errorf("%w; its log: %s", err, tail(log))
	}
	return nil
}

func (e *ejabberd) addUser(ctx context.Context, user, password string) error {
	return e.api.Register(ctx, e.domain, user, password)
}

func (e *ejabberd) befriend(ctx context.Context, a, b string) error {
	return e.api.Befriend(ctx, e.domain, a, b)
}

func (e *ejabberd) stop() { e.proc.kill() } // a clean stop takes seconds and saves nothing that is wanted
