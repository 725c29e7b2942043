package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const (
	// apiTimeout bounds one call of ejabberd's HTTP API.
	apiTimeout = 10 * time.Second
	// apiAnswer bounds what is read of an answer: enough for an error's text.
	apiAnswer = 4096
	// apiAddress is where it is.
	apiAddress = "127.0.0.1:5281"
)

// ejabberd starts ejabberd by the Erlang machine, without its control script: no
// Erlang distribution, no port mapper, no fixed user. It is the STUN host, too.
func (s *server) ejabberd(ctx context.Context) error {
	libs, err := erlangLibraries()
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
		err := call(ctx, "register", map[string]any{"user": user, "host": domain, "password": passwordOf(user)})
		if err != nil {
			return err
		}
	}
	for _, pair := range [][2]string{{senderUser, receiverUser}, {receiverUser, senderUser}} {
		err := call(ctx, "add_rosteritem", map[string]any{
			"localuser": pair[0], "localhost": domain, "user": pair[1], "host": domain,
			"nick": pair[1], "group": "", "subs": "both",
		})
		if err != nil {
			return err
		}
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

// call runs a command of mod_http_api.
func call(ctx context.Context, command string, args map[string]any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	body, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode arguments of %s: %w", command, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+apiAddress+"/api/"+command, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", command, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
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
