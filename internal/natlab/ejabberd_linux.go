package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"jetsend/internal/xmpptest"
)

// apiAddress is where its HTTP API is, and api that.
const (
	apiAddress = "127.0.0.1:5281"
	api        = xmpptest.EjabberdAPI("http://" + apiAddress + "/api/")
)

// ejabberd starts ejabberd by the Erlang machine, without its control script: no
// Erlang distribution, no port mapper, no fixed user. It is the STUN host, too.
func (s *server) ejabberd(ctx context.Context) error {
	libs, err := xmpptest.EjabberdLibraries()
	if err != nil {
		return err
	}
	config, err := s.configure("ejabberd.yml", ejabberdConfig)
	if err != nil {
		return err
	}
	spool := filepath.Join(s.dir, "spool")
	if err := os.MkdirAll(spool, 0o755); err != nil {
		return fmt.Errorf("make spool: %w", err)
	}
	cmd := exec.Command("erl", "-noinput", "-mnesia", "dir", `"`+spool+`"`, "-ejabberd", "config", `"`+config+`"`, "-s", "ejabberd")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + spool, "LANG=C.UTF-8", "ERL_LIBS=" + libs,
		"EJABBERD_CONFIG_PATH=" + config, "EJABBERD_LOG_PATH=" + filepath.Join(s.dir, "ejabberd.log"),
		"ERL_CRASH_DUMP=" + filepath.Join(s.dir, "crash.dump"),
		"ERL_MAX_PORTS=4096", // else a table for as many files as the system allows
	}
	if err := s.launch(ctx, cmd, slices.Concat(s.addresses(), stunAddresses(), []string{apiAddress})...); err != nil {
		return err
	}
	for _, user := range []string{senderUser, receiverUser} {
		if err := api.Register(ctx, domain, user, passwordOf(user)); err != nil {
			return err
		}
	}
	return api.Befriend(ctx, domain, senderUser, receiverUser)
}
