package xmpptest

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
	"strings"
	"time"
)

const (
	// ejabberdStartTimeout bounds the start of an ejabberd, which takes 3 s on an
	// idle machine with two cores, all of it computing.
	ejabberdStartTimeout = 90 * time.Second
	// ejabberdStopTimeout bounds its stop, which takes 3 s of mostly waiting.
	ejabberdStopTimeout = 20 * time.Second
	// apiTimeout bounds one call of its HTTP API.
	apiTimeout = 10 * time.Second
	// apiAnswer bounds what is read of an answer: enough for an error's text.
	apiAnswer = 4096
)

// ErrNoEjabberd is returned where ejabberd is not installed. Use errors.Is;
// the text says the command that installs it.
var ErrNoEjabberd = errors.New("ejabberd is not installed; run: apt-get install -y --no-install-recommends ejabberd")

// ejabberd runs ejabberd by the Erlang machine itself, without its control
// script: no Erlang distribution, no port mapper, no user of its own. Accounts
// and rosters are changed through its HTTP API on loopback, while it runs.
type ejabberd struct {
	dir, domain string
	erl, libs   string // the Erlang machine; where its libraries are
	api         EjabberdAPI
}

func newEjabberd(dir, domain string) (*ejabberd, error) {
	erl, err := exec.LookPath("erl")
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoEjabberd, err)
	}
	libs, err := EjabberdLibraries()
	if err != nil {
		return nil, err
	}
	return &ejabberd{dir: dir, domain: domain, erl: erl, libs: libs}, nil
}

// EjabberdLibraries returns the directory that holds ejabberd and the Erlang
// libraries that it uses, where Debian puts them.
func EjabberdLibraries() (string, error) {
	for _, pattern := range []string{"/usr/lib/*/ejabberd-*/ebin", "/usr/lib/ejabberd-*/ebin"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return filepath.Dir(filepath.Dir(found[0])), nil
		}
	}
	return "", fmt.Errorf("%w (its libraries are not below /usr/lib)", ErrNoEjabberd)
}

// spool is where the database is.
func (e *ejabberd) spool() string { return filepath.Join(e.dir, "spool") }

func (e *ejabberd) config() string { return filepath.Join(e.dir, "ejabberd.yml") }

func (e *ejabberd) prepare(o Options) error {
	if o.Extra != "" {
		return errors.New("extra configuration is Lua, for prosody only")
	}
	if err := os.MkdirAll(e.spool(), 0o700); err != nil {
		return fmt.Errorf("make server directory: %w", err)
	}
	return nil
}

func (e *ejabberd) configure(at endpoints, o Options) error {
	tree, err := ejabberdConfig(e.dir, at, o)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(tree, "", "  ") // which is YAML, too
	if err != nil {
		return fmt.Errorf("encode ejabberd configuration: %w", err)
	}
	if err := os.WriteFile(e.config(), text, 0o600); err != nil {
		return fmt.Errorf("write ejabberd configuration: %w", err)
	}
	e.api = EjabberdAPI("http://" + at.control + ejabberdAPIPath + "/")
	return nil
}

func (e *ejabberd) command() *exec.Cmd {
	cmd := exec.Command(e.erl, "-noinput", "-mnesia", "dir", erlString(e.spool()),
		"-ejabberd", "config", erlString(e.config()), "-s", "ejabberd")
	cmd.Dir = e.spool()
	cmd.Env = append(cmd.Environ(),
		"HOME="+e.spool(), "LANG=C.UTF-8", "ERL_LIBS="+e.libs,
		"EJABBERD_CONFIG_PATH="+e.config(), "EJABBERD_LOG_PATH="+filepath.Join(e.dir, "ejabberd.log"),
		"ERL_CRASH_DUMP="+filepath.Join(e.dir, "crash.dump"),
		"ERL_MAX_PORTS=4096", // else a table for as many files as the system allows
	)
	return cmd
}

func (e *ejabberd) limits() (start, stop time.Duration) {
	return ejabberdStartTimeout, ejabberdStopTimeout
}

// logs are what it prints: all that goes to its log files, and what it says
// before it has any.
func (e *ejabberd) logs() []string { return []string{outputLog} }

func (e *ejabberd) portTaken(log string) bool { return strings.Contains(log, "eaddrinuse") }

func (e *ejabberd) addAccount(ctx context.Context, user, password string) error {
	args := map[string]any{"user": user, "host": e.domain, "password": password}
	status, text, err := e.api.call(ctx, "register", args)
	if err == nil && status == http.StatusConflict {
		args = map[string]any{"user": user, "host": e.domain, "newpass": password}
		status, text, err = e.api.call(ctx, "change_password", args)
	}
	return answer("make account "+user, status, text, err)
}

func (e *ejabberd) link(ctx context.Context, user, contact string) error {
	return e.api.link(ctx, e.domain, user, contact)
}

// EjabberdAPI is the URL of ejabberd's mod_http_api, with the final slash.
type EjabberdAPI string

// Register makes an account.
func (a EjabberdAPI) Register(ctx context.Context, domain, user, password string) error {
	status, text, err := a.call(ctx, "register", map[string]any{"user": user, "host": domain, "password": password})
	return answer("make account "+user, status, text, err)
}

// Befriend makes two users contacts of each other.
func (a EjabberdAPI) Befriend(ctx context.Context, domain, one, other string) error {
	return errors.Join(a.link(ctx, domain, one, other), a.link(ctx, domain, other, one))
}

// link puts a contact into the roster of a user.
func (a EjabberdAPI) link(ctx context.Context, domain, user, contact string) error {
	status, text, err := a.call(ctx, "add_rosteritem", map[string]any{
		"localuser": user, "localhost": domain, "user": contact, "host": domain,
		"nick": "", "group": "", "subs": "both",
	})
	return answer("add "+contact+" to the roster of "+user, status, text, err)
}

// answer turns what came of a call into an error, nil when it did its work.
func answer(what string, status int, text []byte, err error) error {
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("ejabberd answers %d %s", status, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// call runs a command of ejabberd's mod_http_api.
func (a EjabberdAPI) call(ctx context.Context, command string, args map[string]any) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	body, err := json.Marshal(args)
	if err != nil {
		return 0, nil, fmt.Errorf("encode arguments of %s: %w", command, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, string(a)+command, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("call %s: %w", command, err)
	}
	req.Header.Set("Content-Type", "application/json")
	// A connection for each call: none is left when the server is gone. No
	// proxy: this is loopback.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("call %s: %w", command, err)
	}
	text, err = io.ReadAll(io.LimitReader(resp.Body, apiAnswer))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, nil, fmt.Errorf("read answer to %s: %w", command, err)
	}
	return resp.StatusCode, text, nil
}
