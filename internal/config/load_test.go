package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// write puts a configuration into a file of its own.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustLoad(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(Options{File: writeConfig(t, text), MustExist: true, Home: "/home/juliet"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNoFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.yaml")
	c, err := Load(Options{File: missing})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.File = missing
	if diff := cmp.Diff(&want, c); diff != "" {
		t.Error("no file is not the defaults:", diff)
	}
	var e *Error
	if _, err := Load(Options{File: missing, MustExist: true}); !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) {
		t.Error("a missing file that was asked for:", err)
	}
}

func TestEmptySectionsKeepDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "send:\nreceive:\n  # dir: /srv\ntransports:\n  s5b:\naccounts:\n", "receive: {dir: }\n"} {
		c := mustLoad(t, text)
		if c.Send.Wait != 10*time.Second || c.Receive.Dir != "." || c.Receive.Priority != -1 || c.Send.AnswerTimeout != nil {
			t.Errorf("%q changed the defaults: %+v", text, c)
		}
	}
}

func TestPrecedence(t *testing.T) {
	const text = "send: {wait: 30s, limit_rate: 5MB, answer_timeout: 0s}\nreceive: {dir: /srv/in, from: [a@b.example, anna]}\n"
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Duration("wait", 10*time.Second, "")
	var rate Rate
	flags.Var(&rate, "limit-rate", "")
	flags.StringSlice("from", nil, "")
	flags.Bool("no-direct", false, "")
	bound := map[string]*pflag.Flag{
		"send::wait": flags.Lookup("wait"), "send::limit_rate": flags.Lookup("limit-rate"),
		"receive::from": flags.Lookup("from"), "send::no_direct": flags.Lookup("no-direct"),
	}
	file := writeConfig(t, text)
	load := func(args ...string) *Config {
		t.Helper()
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Options{File: file, Flags: bound})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load()
	if c.Send.Wait != 30*time.Second || c.Send.LimitRate != 5e6 || c.Receive.Dir != "/srv/in" || c.Receive.OnConflict != "rename" {
		t.Errorf("the file does not win over the defaults: %+v", c)
	}
	if c.Send.AnswerTimeout == nil || *c.Send.AnswerTimeout != 0 {
		t.Errorf("answer_timeout: 0s became %v", c.Send.AnswerTimeout)
	}
	c = load("--wait=10s", "--limit-rate=1MiB", "--from=x@y.example", "--no-direct")
	if c.Send.Wait != 10*time.Second || c.Send.LimitRate != 1<<20 || !c.Send.NoDirect {
		t.Errorf("flags do not win over the file: %+v", c.Send)
	}
	if diff := cmp.Diff([]string{"x@y.example"}, c.Receive.From); diff != "" {
		t.Error(diff)
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, text, want, hint string }{
		{"unknown key", "trust: blind\ntrsut: blind\n", `:2: unknown key "trsut"`, "help config"},
		{"unknown key without value", "acounts:\n", `:1: unknown key "acounts"`, ""},
		{"flag spelling", "receive:\n  max-size: 1MB\n", `:2: unknown key "receive.max-size"`, `"receive.max_size"`},
		{"unknown in account", "accounts:\n  a:\n    jid: a@b.example\n    pasword: x\n", `:4: unknown key "accounts.a.pasword"`, ""},
		{"transport", "transports: {order: [tcp]}\n", `"tcp" is not one of s5b, ibb`, ""},
		{"size", "receive:\n  max_size: huge\n", `:2: receive.max_size: "huge" is not a size`, ""},
		{"rate", "send: {limit_rate: 5M}\n", "ambiguous", ""},
		{"duration", "send: {wait: 10}\n", `send.wait: "10" is not a duration`, ""},
		{"bool", "send: {checksum: yes please}\n", "neither true nor false", ""},
		{"int", "receive: {priority: high}\n", "not a whole number", ""},
		{"choice", "trust: full\n", `trust: "full" is not one of blind, verified`, ""},
		{"section", "send: fast\n", "send is a section", ""},
		{"list", "receive: {from: a@b.example}\n", "receive.from is a list", ""},
		{"value", "trust: [blind]\n", "trust has one value", ""},
		{"twice", "contacts: {anna: a@b.example, Anna: c@d.example}\n", "contacts.Anna is there twice", ""},
		{"no mapping", "- a\n", "not a list of `key: value`", ""},
		{"yaml", "send: {\n", "did not find", ""},
		{"account without jid", "accounts: {a: {server: 'h:1'}}\n", "account a has no jid", ""},
		{"account with resource", "accounts: {a: {jid: a@b.example/r}}\n", "without a resource", ""},
		{"two passwords", "accounts: {a: {jid: a@b.example, password: x, keyring: true}}\n", "one is enough", ""},
		{"server", "accounts: {a: {jid: a@b.example, server: host}}\n", `"host" is not host:port`, ""},
		{"default account", "default_account: a\n", "not among the accounts", ""},
		{"contact", "contacts: {anna: '@'}\n", "contacts.anna", ""},
		{"contact name", "contacts: {a@b: a@b.example}\n", "neither @ nor /", ""},
		{"empty contact", "contacts: {anna: }\n", "contacts.anna is empty", ""},
		{"priority", "receive: {priority: 200}\n", "not between", ""},
		{"priority zero", "receive: {priority: 0}\n", "without 0", ""},
		{"count", "send: {retries: -1}\n", "less than nothing", ""},
		{"priority below", "receive: {priority: -129}\n", "not between", ""},
		{"port", "transports: {s5b: {listen_ports: [0]}}\n", "0 is not a port", ""},
		{"port beyond", "transports: {s5b: {listen_ports: [65536]}}\n", "65536 is not a port", ""},
		{"port of a server", "accounts: {a: {jid: a@b.example, server: 'host:0'}}\n", `"0" is not a port`, ""},
		{"port of a server beyond", "accounts: {a: {jid: a@b.example, server: 'host:65536'}}\n", `"65536" is not a port`, ""},
		{"name for a port", "accounts: {a: {jid: a@b.example, server: 'host:xmpp'}}\n", `"xmpp" is not a port`, ""},
		{"server without host", "accounts: {a: {jid: a@b.example, server: ':5222'}}\n", `":5222" is not host:port`, ""},
		{"no transport", "transports: {order: []}\n", "each once", ""},
		{"transport twice", "transports: {order: [ibb, ibb]}\n", "each once", ""},
		{"three transports", "transports: {order: [ibb, s5b, ibb]}\n", "each once", ""},
		{"blocks too small", "transports: {ibb: {block_size: 255}}\n", "not between 256 and 65535", ""},
		{"blocks below zero", "transports: {ibb: {block_size: -1}}\n", "not between 256 and 65535", ""},
		{"stun without a port", "transports: {stun: [stun.example.org]}\n", "not a host and port", ""},
		{"stun without a host", "transports: {stun: [\":3478\"]}\n", "not a host and port", ""},
		{"stun at port 0", "transports: {stun: [\"a:0\"]}\n", "not a host and port", ""},
		{"blocks too large", "transports: {ibb: {block_size: 65536}}\n", "not between 256 and 65535", ""},
		{"address", "transports: {s5b: {advertise: [here]}}\n", "not an IP address", ""},
		{"delimiter", "contacts: {'a::b': a@b.example}\n", `cannot hold "::"`, ""},
		{"colon at the end", "accounts: {'a:': {jid: a@b.example}}\n", `cannot hold "::", or end with a colon`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeConfig(t, tt.text)
			_, err := Load(Options{File: file})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.HasPrefix(e.Error(), file) || !strings.Contains(e.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", e, tt.want)
			}
			if !strings.Contains(strings.Join(e.Hints, "\n"), tt.hint) {
				t.Errorf("hints %q, want %q", e.Hints, tt.hint)
			}
		})
	}
}

// TestLimits: what is allowed reaches as far as the messages say.
func TestLimits(t *testing.T) {
	for _, text := range []string{
		"receive: {priority: -128}\n", "receive: {priority: 127}\n", "transports: {order: [ibb]}\n", "transports: {order: [ibb, s5b]}\n",
		"transports: {ibb: {block_size: 256}}\n", "transports: {ibb: {block_size: 0}}\n", "transports: {stun: [stun.example.org:3478, \"[2001:db8::1]:1\"]}\n", "transports: {ibb: {block_size: 65535}}\n", "transports: {s5b: {listen_ports: [1, 65535]}}\n",
		"accounts: {a: {jid: a@b.example, server: 'host:1'}, b: {jid: b@b.example, server: 'host:65535'}}\n",
	} {
		if _, err := Load(Options{File: writeConfig(t, text)}); err != nil {
			t.Errorf("%s%v", text, err)
		}
	}
}

func TestMode(t *testing.T) {
	file := writeConfig(t, "accounts: {a: {jid: a@b.example, password: secret}}\n")
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o644: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Options{File: file})
		if (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Error("the error tells the password:", err)
		}
	}
	file = writeConfig(t, "accounts: {a: {jid: a@b.example, keyring: true}}\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{File: file}); err != nil {
		t.Error("a file without password may be open:", err)
	}
}

// A command that a file names is not run when others could have written the file;
// everything else of such a file counts, and so does what a flag names in its place.
func TestModeOfWhatRuns(t *testing.T) {
	const command, exec, plain = "accounts: {a: {jid: a@b.example, password_command: pass show a}}\n", "receive: {exec: /bin/true}\n", "receive: {once: true}\n"
	flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
	flags.String("exec", "", "")
	if err := flags.Set("exec", "/bin/false"); err != nil {
		t.Fatal(err)
	}
	byFlag := map[string]*pflag.Flag{"receive::exec": flags.Lookup("exec")}
	for _, tt := range []struct {
		text      string
		mode, dir os.FileMode
		flags     map[string]*pflag.Flag
		want      string // in the error; "": there is none
	}{
		{command, 0o644, 0o755, nil, ""},
		{command, 0o664, 0o755, nil, "password_command of account a is not run"},
		{command, 0o644, 0o777, nil, "password_command of account a is not run"},
		{command, 0o644, 0o777 | os.ModeSticky, nil, ""},
		{exec, 0o662, 0o755, nil, "receive.exec is not run"},
		{exec, 0o644, 0o775, nil, "receive.exec is not run"},
		{exec, 0o662, 0o777, byFlag, ""},
		{plain, 0o666, 0o777, nil, ""},
	} {
		file := writeConfig(t, tt.text)
		if err := errors.Join(os.Chmod(file, tt.mode), os.Chmod(filepath.Dir(file), tt.dir)); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Options{File: file, Flags: tt.flags})
		var refused *Error
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s, %o in %o: %v", tt.text, tt.mode, tt.dir, err)
		case tt.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) || len(refused.Hints) != 1 || !strings.Contains(refused.Hints[0], "chmod go-w "+filepath.Dir(file))):
			t.Errorf("%s, %o in %o: %v", tt.text, tt.mode, tt.dir, err)
		}
	}
}

func TestPathsOfTheFile(t *testing.T) {
	file := writeConfig(t, "accounts:\n  a: {jid: a@b.example, password_file: secret, tls_ca_file: ~/ca.pem}\n  b: {jid: b@b.example, password_file: ''}\nreceive: {dir: /srv}\n")
	c, err := Load(Options{File: file, Home: "/home/juliet"})
	if err != nil {
		t.Fatal(err)
	}
	want := Account{JID: "a@b.example", PasswordFile: filepath.Join(filepath.Dir(file), "secret"), TLSCAFile: "/home/juliet/ca.pem"}
	if diff := cmp.Diff(want, c.Accounts["a"]); diff != "" || c.Receive.Dir != "/srv" {
		t.Error(diff, c.Receive.Dir)
	}
	if got := c.Accounts["b"].PasswordFile; got != "" {
		t.Errorf("no path became %q", got)
	}
}

func TestPasswordOfDigits(t *testing.T) {
	c := mustLoad(t, "accounts: {a: {jid: a@b.example, password: 0123}}\n")
	if got := c.Accounts["a"].Password; got != "0123" {
		t.Errorf("password 0123 became %q", got)
	}
}

// TestEveryKeyIsInTheExample holds config.example.yaml and the struct together.
func TestEveryKeyIsInTheExample(t *testing.T) {
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The example as it stands must load, and so must it with every commented
	// key switched on, one at a time.
	if _, err := Load(Options{File: writeConfig(t, string(data)), MustExist: true}); err != nil {
		t.Fatal(err)
	}
	present := make(map[string]bool)
	for _, line := range strings.Split(string(data), "\n") {
		if key, _, ok := strings.Cut(strings.TrimLeft(line, " #"), ":"); ok {
			present[key] = true
		}
	}
	for _, key := range keys(reflect.TypeFor[Config]()) {
		if !present[key] {
			t.Errorf("config.example.yaml says nothing of %s", key)
		}
	}
	if _, err := Load(Options{File: writeConfig(t, uncomment(string(data))), MustExist: true}); err != nil {
		t.Error("with every optional key switched on:", err)
	}
}

// uncomment switches on the keys that the example shows as "#key: value",
// except the further ways to name a password, of which there can be one only.
func uncomment(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		trimmed := strings.TrimLeft(line, " ")
		if rest, ok := strings.CutPrefix(trimmed, "#"); ok && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "password") && !strings.HasPrefix(rest, "keyring") {
			lines[i] = line[:len(line)-len(trimmed)] + rest
		}
	}
	return strings.Join(lines, "\n")
}

func keys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("mapstructure")
		if name == "-" {
			continue
		}
		out = append(out, name)
		elem := f.Type
		if elem.Kind() == reflect.Map {
			elem = elem.Elem()
		}
		if elem.Kind() == reflect.Struct {
			out = append(out, keys(elem)...)
		}
	}
	return out
}
