package xmpptest

import (
	"context"
	_ "embed" // the server module
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// prosodyStartTimeout bounds the start of a Prosody, which takes about 0.3 s
	// on an idle machine.
	prosodyStartTimeout = time.Minute
	// prosodyStopTimeout is how long it may take to stop before it is killed.
	prosodyStopTimeout = 5 * time.Second
)

// harnessModule is loaded into every private Prosody.
//
//go:embed prosodymod/mod_jet_harness.lua
var harnessModule []byte

// communityModules is where Debian's prosody-modules are.
const communityModules = "/usr/lib/prosody/modules"

// ErrNoModules is returned for [ProsodySASL2] where they are not installed. Use errors.Is;
// its text says what to install.
var ErrNoModules = errors.New("the modules of Prosody's community are not installed; run: apt-get install -y --no-install-recommends prosody-modules")

// sslinfoModule gives Debian's mod_sasl2 what it expects of a later Prosody.
//
//go:embed prosodymod/mod_sslinfo.lua
var sslinfoModule []byte

// prosody runs Prosody. Its accounts and rosters are files of its internal
// storage, which is read anew at every login.
type prosody struct {
	dir, domain, program string
	rosters              map[string]map[string]bool // user -> bare JIDs
}

func newProsody(dir, domain string) (*prosody, error) {
	program, err := exec.LookPath("prosody")
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoProsody, err)
	}
	return &prosody{dir: dir, domain: domain, program: program, rosters: map[string]map[string]bool{}}, nil
}

func (p *prosody) config() string { return filepath.Join(p.dir, "prosody.cfg.lua") }

func (p *prosody) prepare(Options) error {
	for _, sub := range []string{"data", "modules"} {
		if err := os.MkdirAll(filepath.Join(p.dir, sub), 0o700); err != nil {
			return fmt.Errorf("make server directory: %w", err)
		}
	}
	for name, text := range map[string][]byte{"mod_jet_harness.lua": harnessModule, "mod_sslinfo.lua": sslinfoModule} {
		if err := os.WriteFile(filepath.Join(p.dir, "modules", name), text, 0o600); err != nil {
			return fmt.Errorf("write server module: %w", err)
		}
	}
	return nil
}

func (p *prosody) configure(e endpoints, o Options) error {
	if err := os.WriteFile(p.config(), []byte(prosodyConfig(p.dir, e, o)), 0o600); err != nil {
		return fmt.Errorf("write prosody configuration: %w", err)
	}
	return nil
}

func (p *prosody) command() *exec.Cmd {
	cmd := exec.Command(p.program, "--config", p.config(), "-F")
	cmd.Dir = p.dir
	return cmd
}

func (p *prosody) limits() (start, stop time.Duration) {
	return prosodyStartTimeout, prosodyStopTimeout
}

// logs ends with the output, which is only there when the process printed.
func (p *prosody) logs() []string { return []string{"prosody.log", outputLog} }

func (p *prosody) portTaken(log string) bool {
	return strings.Contains(log, "Failed to open server port")
}

func (p *prosody) addAccount(_ context.Context, user, password string) error {
	return p.writeStore("accounts", user, "return { [\"password\"] = "+luaString(password)+" };\n")
}

// link knows only the entries that the harness made itself; what the server
// has added since is lost.
func (p *prosody) link(_ context.Context, user, contact string) error {
	if p.rosters[user] == nil {
		p.rosters[user] = map[string]bool{}
	}
	p.rosters[user][contact+"@"+p.domain] = true
	var b strings.Builder
	b.WriteString("return { [false] = { [\"version\"] = 1, [\"pending\"] = {} };\n")
	for _, j := range slices.Sorted(maps.Keys(p.rosters[user])) {
		fmt.Fprintf(&b, "[%s] = { [\"subscription\"] = \"both\", [\"groups\"] = {} };\n", luaString(j))
	}
	b.WriteString("};\n")
	return p.writeStore("roster", user, b.String())
}

// writeStore writes the record of a user in one of Prosody's stores. The file
// is put in place whole, because the running server may read it at any time.
func (p *prosody) writeStore(store, user, lua string) error {
	dir := filepath.Join(p.dir, "data", storeName(p.domain), store)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make store %s: %w", store, err)
	}
	path := filepath.Join(dir, storeName(user)+".dat")
	if err := os.WriteFile(path+".new", []byte(lua), 0o600); err != nil {
		return fmt.Errorf("write %s of %s: %w", store, user, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s of %s: %w", store, user, err)
	}
	return nil
}

// storeName encodes a host or user as Prosody's file names do: every byte that
// is not an ASCII letter or digit as %xx.
func storeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
