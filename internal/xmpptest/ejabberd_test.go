package xmpptest

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNoEjabberd(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := StartServer(t.Context(), t.TempDir(), Options{Software: Ejabberd})
	if !errors.Is(err, ErrNoEjabberd) || !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "apt-get install") {
		t.Errorf("%v", err)
	}
}

func TestUnknownSoftware(t *testing.T) {
	_, err := StartServer(t.Context(), t.TempDir(), Options{Software: "openfire"})
	if err == nil || !strings.Contains(err.Error(), `"openfire"`) {
		t.Errorf("%v", err)
	}
}

// TestEjabberdConfig looks at what is written, so that it needs no ejabberd.
func TestEjabberdConfig(t *testing.T) {
	e := &ejabberd{dir: t.TempDir(), domain: "other.test"}
	at, err := pickEndpoints(true, true)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Domain: "other.test", Debug: true, DisabledSASL: []string{"PLAIN"}, DisabledModules: []string{"pep", "smacks"}}
	if err := e.configure(at, o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(e.dir, "ejabberd.yml"))
	if err != nil {
		t.Fatal(err)
	}
	type listener struct {
		IP   string
		Port int
	}
	var got struct {
		Loglevel string
		Hosts    []string
		Listen   []listener
		Disabled []string `json:"disable_sasl_mechanisms"`
		Modules  map[string]listener
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Loglevel != "debug" || !slices.Equal(got.Hosts, []string{"other.test"}) || !slices.Contains(got.Disabled, "PLAIN") {
		t.Errorf("%s", text)
	}
	for _, m := range []string{"mod_pubsub", "mod_stream_mgmt"} {
		if _, there := got.Modules[m]; there {
			t.Errorf("%s is there", m)
		}
	}
	var open []string
	for _, l := range append(got.Listen, got.Modules["mod_proxy65"]) {
		if !net.ParseIP(l.IP).IsLoopback() {
			t.Errorf("listens on %s", l.IP)
		}
		open = append(open, join(l.IP, l.Port))
	}
	if want := []string{at.c2s, at.direct, at.control, at.proxy}; !slices.Equal(open, want) {
		t.Errorf("listens on %v, want %v", open, want)
	}
	if err := e.configure(at, Options{DisabledModules: []string{"posix"}}); err == nil {
		t.Error("left out what is not there")
	}
}

// TestServerChangesAccount: an account that exists gets the new password.
func TestServerChangesAccount(t *testing.T) {
	s := Start(t, Options{Software: software(), Accounts: couple, NoProxy: true})
	if err := s.AddAccount("juliet", "new pw"); err != nil {
		t.Fatal(err)
	}
	login(t, s, s.Addr, "juliet", "new pw")
	if got := dialRaw(t, s, s.Addr, false).auth("juliet", "julietpw"); !strings.Contains(got, "not-authorized") {
		t.Errorf("old password: %s", got)
	}
}
