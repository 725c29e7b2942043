package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jetsend/internal/config"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

// account loads what login wrote.
func (f *fixture) account(name string) config.Account {
	f.t.Helper()
	c, err := config.Load(config.Options{File: filepath.Join(f.env["HOME"], ".config/jetsend/config.yaml"), MustExist: true})
	if err != nil {
		f.t.Fatal(err)
	}
	a, ok := c.Accounts[name]
	if !ok {
		f.t.Fatalf("there is no account %s", name)
	}
	return a
}

func TestLoginStores(t *testing.T) {
	const juliet = "juliet@capulet.example"
	for _, tt := range []struct {
		name    string
		args    []string
		typed   bool
		before  string // the configuration
		noRing  bool
		inRing  string
		code    int
		want    config.Account // besides the JID
		ring    string
		message string
	}{
		{name: "typed", typed: true, want: config.Account{Keyring: true}, ring: "hunter2", message: "the password is in the keyring"},
		{name: "typed, no keyring", typed: true, noRing: true, want: config.Account{Password: "hunter2"}, message: "readable by you alone"},
		{name: "typed, keyring or nothing", args: []string{"--store=keyring"}, typed: true, noRing: true, code: 3, message: "use --store file"},
		{name: "typed, file", args: []string{"--store=file"}, typed: true, want: config.Account{Password: "hunter2"}, message: "readable by you alone"},
		{name: "typed, none", args: []string{"--store=none"}, typed: true, message: "not stored"},
		{name: "environment", message: "not stored"},
		{name: "environment, file", args: []string{"--store=file"}, want: config.Account{Password: "secret"}, message: "readable by you alone"},
		{name: "environment, keyring", args: []string{"--store=keyring"}, want: config.Account{Keyring: true}, ring: "secret", message: "in the keyring"},
		{
			name: "from the file to nowhere", args: []string{"--store=none"}, typed: true, message: "not stored",
			before: "accounts: {juliet@capulet.example: {jid: juliet@capulet.example, password: old}}",
		},
		{
			name: "from the keyring to the file", args: []string{"--store=file"}, typed: true, inRing: "old", want: config.Account{Password: "hunter2"}, message: "readable by you alone",
			before: "accounts: {juliet@capulet.example: {jid: juliet@capulet.example, keyring: true}}",
		},
		{
			name: "from the keyring to nowhere", args: []string{"--store=none"}, inRing: "old", message: "not stored",
			before: "accounts: {juliet@capulet.example: {jid: juliet@capulet.example, keyring: true}}",
		},
		{
			name: "a command stays", before: "accounts: {juliet@capulet.example: {jid: juliet@capulet.example, password_command: echo hunter2}}",
			want: config.Account{PasswordCommand: "echo hunter2"}, message: "stays where it was",
		},
		{
			name: "a stored one is asked for again", typed: true, before: "accounts: {juliet@capulet.example: {jid: juliet@capulet.example, password: old}}",
			want: config.Account{Keyring: true}, ring: "hunter2", message: "in the keyring",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			delete(f.env, "JETSEND_JID")
			if tt.typed {
				delete(f.env, "JETSEND_PASSWORD")
				f.tty = &fakeTTY{answers: []string{"hunter2"}}
			}
			if tt.before != "" {
				f.file(".config/jetsend/config.yaml", tt.before)
			}
			if tt.inRing != "" {
				f.ring.m[juliet] = tt.inRing
			}
			if tt.noRing {
				f.ring.err = config.ErrNoKeyring
			}
			f.wants(tt.code, []string{tt.message}, append([]string{"login", juliet}, tt.args...)...)
			if tt.code != 0 {
				return
			}
			if d := f.dialled[0]; !d.Login || d.Account.Ephemeral || d.Account.Addr.String() != juliet || d.Password == "" {
				t.Errorf("dialled %+v", d)
			}
			tt.want.JID = juliet
			if got := f.account(juliet); got != tt.want || f.ring.m[juliet] != tt.ring {
				t.Errorf("wrote %+v, keyring %q", got, f.ring.m)
			}
			info, err := os.Stat(filepath.Join(f.env["HOME"], ".config/jetsend/config.yaml"))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Error(info.Mode(), err)
			}
			for _, secret := range []string{"hunter2", "secret"} {
				if strings.Contains(f.err.String()+f.out.String(), secret) {
					t.Error("the password was shown:", f.err.String())
				}
			}
		})
	}
}

func TestLoginChoosesTheAccount(t *testing.T) {
	f := newFixture(t)
	delete(f.env, "JETSEND_JID")
	f.tty = &fakeTTY{answers: []string{"juliet@capulet.example"}}
	f.env["JETSEND_SERVER"], f.env["JETSEND_TLS_CA_FILE"] = "127.0.0.1:5222", ""
	f.wants(0, []string{"logged in as juliet@capulet.example", "this device: 27183, with the key\n  01234567 01234567"}, "login")
	if got := f.account("juliet@capulet.example"); got.Server != "127.0.0.1:5222" {
		t.Errorf("wrote %+v", got)
	}
	delete(f.env, "JETSEND_SERVER")
	// Now it is the default; another one gets its own name.
	f.wants(0, nil, "login")
	f.wants(0, nil, "--account", "Work", "login", "juliet@work.example")
	if got := f.account("work"); got.JID != "juliet@work.example" || got.Server != "" {
		t.Errorf("wrote %+v", got)
	}
	f.wants(0, nil, "--account", "work", "login")
	if got := f.dialled[len(f.dialled)-1].Account.Addr.String(); got != "juliet@work.example" {
		t.Error("logged in as", got)
	}
	f.wants(3, []string{"account work is juliet@work.example"}, "--account", "work", "login", "other@work.example")
	f.wants(2, []string{"cannot be the name"}, "--account", "a::b", "login", "juliet@third.example")
}

func TestLoginFailsAndWritesNothing(t *testing.T) {
	f := newFixture(t)
	f.dialErr = &session.AuthError{Condition: "not-authorized"}
	f.wants(4, []string{"wrong password or unknown account"}, "login", "juliet@capulet.example")
	f.dialErr = omemo.ErrTooManyDevices
	f.wants(9, nil, "login", "juliet@capulet.example")
	if _, err := os.Stat(filepath.Join(f.env["HOME"], ".config/jetsend/config.yaml")); err == nil {
		t.Error("a login that failed wrote the configuration")
	}
}

// TestLoginTries: a typed password may be wrong twice; what comes from elsewhere, and
// every other refusal, ends the login at once.
func TestLoginTries(t *testing.T) {
	wrong := func(times int, err error) func(context.Context) error {
		return func(context.Context) error {
			if times--; times >= 0 {
				return err
			}
			return nil
		}
	}
	notAuthorized := &session.AuthError{Condition: "not-authorized"}
	for _, tt := range []struct {
		name    string
		typed   bool
		dialled func(context.Context) error
		code    int
		tries   int
	}{
		{"wrong twice", true, wrong(2, notAuthorized), 0, 3},
		{"wrong three times", true, wrong(3, notAuthorized), 4, 3},
		{"an account that is disabled", true, wrong(1, &session.AuthError{Condition: "account-disabled"}), 4, 1},
		{"from the environment", false, wrong(1, notAuthorized), 4, 1},
		{"no such host", true, wrong(1, &session.UnreachableError{}), 5, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.dialling = tt.dialled
			if tt.typed {
				delete(f.env, "JETSEND_PASSWORD")
				f.tty = &fakeTTY{answers: []string{"first", "second", "third"}}
			}
			f.wants(tt.code, nil, "login", "juliet@capulet.example")
			if len(f.dialled) != tt.tries {
				t.Errorf("%d tries", len(f.dialled))
			}
			if n := strings.Count(f.err.String(), "wrong password, or no such account as juliet@capulet.example: try again"); n != tt.tries-1 {
				t.Errorf("said so %d times:\n%s", n, f.err.String())
			}
			written := exists(filepath.Join(f.env["HOME"], ".config/jetsend/config.yaml"))
			if written != (tt.code == 0) {
				t.Error("the account was written:", written)
			}
			if tt.code == 0 && (f.dialled[2].Password != "third" || f.ring.m["juliet@capulet.example"] != "third") {
				t.Error("another password than the right one is kept")
			}
			next := strings.Contains(f.err.String(), "already contacts? just send: `jetsend send FILE name@domain`")
			if next != (tt.code == 0) {
				t.Errorf("what comes next:\n%s", f.err.String())
			}
		})
	}
}

func TestLoginJSON(t *testing.T) {
	f := newFixture(t)
	f.wants(0, nil, "--json", "login")
	const want = `{"v":1,"time":"2026-11-21T20:15:00Z","event":"device","jid":"juliet@capulet.example","id":27183,`
	if got := f.out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
		t.Errorf("got %s", got)
	}
}

func TestLogout(t *testing.T) {
	f := newFixture(t)
	juliet := jid.MustParse("juliet@capulet.example")
	f.file(".config/jetsend/config.yaml", "accounts: {home: {jid: juliet@capulet.example, keyring: true}, work: {jid: a@b.example}}\n")
	f.ring.m[juliet.String()] = "kept"
	dir := filepath.Join(f.env["HOME"], ".local/state/jetsend")
	path := state.Path(dir, juliet)
	in := receivedRow(t, "aaaa0000")
	partial := filepath.Join(in.Dir, ".jetsend-"+in.ID+".part")
	f.row(in, journal.Interrupted, 4)
	for _, left := range []string{".locks/left", ".sets/folders/left", ".sent/left"} {
		f.file(strings.TrimPrefix(path+left, f.env["HOME"]+"/"), "")
	}

	f.wants(0, []string{"off the server's lists"}, "logout")
	if len(f.endpoint.done) != 1 || !exists(path) || !exists(partial) || f.ring.m[juliet.String()] == "" {
		t.Error("logout did too much or too little:", f.endpoint.done, f.ring.m)
	}
	lock, err := transfer.LockReceiver(dir, juliet, "")
	if err != nil {
		t.Fatal(err)
	}
	f.wants(3, []string{"another `jetsend receive` uses the state directory " + dir, "hint: end it first"}, "logout", "--forget")
	if err := lock.Release(); err != nil || !exists(path) || len(f.endpoint.done) != 1 {
		t.Error("the state was deleted under a receiver, or:", err)
	}
	f.wants(0, []string{"are deleted"}, "logout", "--forget")
	left, err := filepath.Glob(path + "*")
	if err != nil || len(left) > 0 || exists(partial) || f.ring.m[juliet.String()] != "" {
		t.Error("the state or the password is still there:", left, err)
	}
	f.account("work")
	if f.wants(0, nil, "trust"); strings.Contains(f.out.String(), "27183") {
		t.Error("the device is still known")
	}
	c, err := config.Load(config.Options{File: filepath.Join(f.env["HOME"], ".config/jetsend/config.yaml")})
	if _, ok := c.Accounts["home"]; ok || err != nil {
		t.Error("the account is still configured:", err)
	}
	f.row(sentRow("bbbb0000"), journal.Running, 4)
	f.wants(12, []string{"bbbb0000 (a.iso) is running"}, "logout", "--forget")
	f.wants(0, nil, "logout")
	f.endpoint.result = session.ErrSessionLost
	f.wants(5, nil, "logout")
}
