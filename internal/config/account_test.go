package config

import (
	"errors"
	"testing"
)

const twoAccounts = `
accounts:
  Home: {jid: juliet@capulet.example, server: "xmpp.capulet.example:5222"}
  juliet@work.example: {jid: juliet@work.example}
`

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		sel        Selection
		want       string // the address
		ephemeral  bool
		fails      bool
	}{
		{name: "nothing at all", fails: true},
		{name: "only the environment", sel: Selection{JID: "a@b.example"}, want: "a@b.example", ephemeral: true},
		{name: "two, none named", text: twoAccounts, fails: true},
		{name: "by name, any case", text: twoAccounts, sel: Selection{Name: "HOME"}, want: "juliet@capulet.example"},
		{name: "by a name that is an address", text: twoAccounts, sel: Selection{Name: "juliet@work.example"}, want: "juliet@work.example"},
		{name: "by address", text: twoAccounts, sel: Selection{Name: "juliet@capulet.example"}, want: "juliet@capulet.example"},
		{name: "default", text: twoAccounts + "default_account: home\n", want: "juliet@capulet.example"},
		{name: "JID wins over default", text: twoAccounts + "default_account: home\n", sel: Selection{JID: "juliet@work.example"}, want: "juliet@work.example"},
		{name: "JID not in the file", text: twoAccounts + "default_account: home\n", sel: Selection{JID: "x@y.example"}, want: "x@y.example", ephemeral: true},
		{name: "unknown name", text: twoAccounts, sel: Selection{Name: "nobody"}, fails: true},
		{name: "only one", text: "accounts: {a: {jid: a@b.example}}\n", want: "a@b.example"},
		{name: "name and JID agree", text: twoAccounts, sel: Selection{Name: "home", JID: "juliet@capulet.example"}, want: "juliet@capulet.example"},
		{name: "name and JID differ", text: twoAccounts, sel: Selection{Name: "home", JID: "x@y.example"}, fails: true},
		{name: "JID with a resource", sel: Selection{JID: "a@b.example/r"}, fails: true},
		{name: "JID of a server", sel: Selection{JID: "b.example"}, fails: true},
		{name: "bad server", text: twoAccounts, sel: Selection{Name: "home", Server: "nowhere"}, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustLoad(t, tt.text).Choose(tt.sel)
			var e *Error
			if tt.fails {
				if !errors.As(err, &e) {
					t.Fatalf("got %+v, %v; want an *Error", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Addr.String() != tt.want || got.Ephemeral != tt.ephemeral {
				t.Errorf("got %s, ephemeral %v", got.Addr, got.Ephemeral)
			}
		})
	}
}

func TestEnvironmentOverAccount(t *testing.T) {
	c := mustLoad(t, twoAccounts)
	a, err := c.Choose(Selection{Name: "home", Server: "127.0.0.1:5222", TLSCAFile: "/ca.pem"})
	if err != nil || a.Server != "127.0.0.1:5222" || a.TLSCAFile != "/ca.pem" {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, _ := c.Choose(Selection{Name: "home"}); a.Server != "xmpp.capulet.example:5222" {
		t.Error("the selection changed the configuration:", a.Server)
	}
}

func TestAddress(t *testing.T) {
	c := mustLoad(t, "contacts: {Romeo: romeo@montague.example/orchard}\n")
	if j, ok := c.Address("romeo"); !ok || j.String() != "romeo@montague.example/orchard" {
		t.Error(j, ok)
	}
	if j, ok := c.Address("ROMEO"); !ok || j.IsZero() {
		t.Error("names are not case sensitive:", j, ok)
	}
	if _, ok := c.Address("mercutio"); ok {
		t.Error("an unknown name was found")
	}
}
