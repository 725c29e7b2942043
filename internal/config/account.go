package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

// Selection is what flags and environment say about the account. Empty fields
// say nothing.
type Selection struct {
	Name      string // --account or JETSEND_ACCOUNT: a name of accounts:, or its JID
	JID       string // JETSEND_JID
	Server    string // JETSEND_SERVER, host:port
	TLSCAFile string // JETSEND_TLS_CA_FILE
}

// Chosen is the account of a command.
type Chosen struct {
	Account
	Name string
	Addr jid.JID // bare
	// Ephemeral tells that no account of the file is meant: everything about
	// it came from the environment.
	Ephemeral bool
}

// Choose finds the account of a command: the one that was named, else the one
// of JETSEND_JID, else default_account, else the only one. Server and CA file
// of the selection win over the file's.
func (c *Config) Choose(s Selection) (*Chosen, error) {
	chosen, err := c.choose(s)
	if err != nil {
		return nil, err
	}
	if chosen.Addr, err = parseBare(chosen.JID); err != nil {
		return nil, &Error{Msg: "JETSEND_JID", Err: err}
	}
	if s.Server != "" {
		if err := checkHostPort(s.Server); err != nil {
			return nil, &Error{Msg: "JETSEND_SERVER", Err: err}
		}
		chosen.Server = s.Server
	}
	if s.TLSCAFile != "" {
		chosen.TLSCAFile = s.TLSCAFile
	}
	return chosen, nil
}

func (c *Config) choose(s Selection) (*Chosen, error) {
	switch {
	case s.Name != "":
		name, ok := c.find(s.Name)
		if !ok {
			return nil, &Error{
				File: c.File, Msg: fmt.Sprintf("there is no account %s", s.Name),
				Hints: append(c.names(), "run `jetsend login --account="+clean.Argument(s.Name)+"` to add it"),
			}
		}
		a := c.Accounts[name]
		if s.JID != "" && !sameBare(s.JID, a.JID) {
			return nil, &Error{
				Msg:   fmt.Sprintf("account %s is %s, but JETSEND_JID says %s", name, a.JID, s.JID),
				Hints: []string{"unset JETSEND_JID, or leave the account out"},
			}
		}
		return &Chosen{Account: a, Name: name}, nil
	case s.JID != "":
		if name, ok := c.find(s.JID); ok {
			return &Chosen{Account: c.Accounts[name], Name: name}, nil
		}
		return &Chosen{Account: Account{JID: s.JID}, Ephemeral: true}, nil
	case c.DefaultAccount != "":
		name := strings.ToLower(c.DefaultAccount)
		return &Chosen{Account: c.Accounts[name], Name: name}, nil
	case len(c.Accounts) == 1:
		for name, a := range c.Accounts {
			return &Chosen{Account: a, Name: name}, nil
		}
	case len(c.Accounts) > 1:
		return nil, &Error{
			File: c.File, Msg: "there are several accounts and no default_account",
			Hints: append(c.names(), "choose one with --account NAME, or set default_account"),
		}
	}
	return nil, &Error{
		Msg:       "no account is configured",
		Hints:     []string{"run `jetsend login`, or set JETSEND_JID and JETSEND_PASSWORD_FILE"},
		noAccount: true,
	}
}

// find looks an account up by its name, else by its JID.
func (c *Config) find(text string) (string, bool) {
	if _, ok := c.Accounts[strings.ToLower(text)]; ok {
		return strings.ToLower(text), true
	}
	for _, name := range slices.Sorted(maps.Keys(c.Accounts)) {
		if sameBare(c.Accounts[name].JID, text) {
			return name, true
		}
	}
	return "", false
}

// Named returns the account with that name or JID.
func (c *Config) Named(text string) (name string, a Account, ok bool) {
	name, ok = c.find(text)
	return name, c.Accounts[name], ok
}

func (c *Config) names() []string {
	if len(c.Accounts) == 0 {
		return nil
	}
	return []string{"the accounts are: " + strings.Join(slices.Sorted(maps.Keys(c.Accounts)), ", ")}
}

func sameBare(a, b string) bool {
	ja, err := jid.ParseTyped(a)
	if err != nil {
		return false
	}
	jb, err := jid.ParseTyped(b)
	return err == nil && ja.Bare() == jb.Bare()
}

// parseBare reads the address of an account: local@domain, no resource, which
// jetsend chooses itself.
func parseBare(s string) (jid.JID, error) {
	j, err := jid.ParseTyped(s)
	if err != nil {
		return jid.JID{}, err
	}
	if j.Local() == "" || !j.IsBare() {
		return jid.JID{}, fmt.Errorf("%q is not an account: write it as name@domain, without a resource", s)
	}
	return j, nil
}
