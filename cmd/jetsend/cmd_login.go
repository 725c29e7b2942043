package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"jetsend/internal/config"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
)

// Where login keeps the password.
const (
	storeKeyring = "keyring"
	storeFile    = "file"
	storeNone    = "none"
)

func newLoginCommand(a *app) *cobra.Command {
	store := &choice{words: []string{storeKeyring, storeFile, storeNone}}
	cmd := &cobra.Command{
		Use:     "login [JID]",
		GroupID: groupAccount,
		Short:   "Log in, publish the OMEMO device, write the configuration",
		Long: `Log in to an XMPP account, publish this machine's OMEMO device there, and
remember the account in the configuration file. An account that is known
already is updated.

JID is the address of the account, such as juliet@capulet.example; without it
you are asked. The password is asked for on the terminal and never shown. It is
taken from JETSEND_PASSWORD or JETSEND_PASSWORD_FILE instead when they are set,
or from the password_file or password_command that the account has.

--store says where the password is kept: in the desktop's keyring, in the
configuration file (readable by you alone), or nowhere. Without --store it is
the keyring, or the file on a machine without one.

The account is named after its address, or as --account says. JETSEND_SERVER
and JETSEND_TLS_CA_FILE are remembered with it.

` + exitStatus(onlineCodes()...),
		Example: examples("jetsend login juliet@capulet.example", "JETSEND_PASSWORD_FILE=/run/secrets/xmpp jetsend login --store none bot@capulet.example"),
		Args:    between(0, 1, "one JID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := login{app: a, store: store.value}
			return l.run(cmd, args)
		},
	}
	cmd.Flags().Var(store, "store", "where to keep the password: keyring, file, none (default keyring, else file)")
	return cmd
}

// login is one run of the command.
type login struct {
	*app
	store    string
	file     string
	config   *config.Config
	chosen   *config.Chosen
	password string
	// external tells that the password comes from a place that is not ours to
	// write: a file or command that the account names.
	external bool
}

func (l *login) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if err := l.load(cmd); err != nil {
		return err
	}
	if err := l.choose(ctx, args); err != nil {
		return err
	}
	if err := l.findPassword(ctx); err != nil {
		return err
	}
	if err := l.connectOnce(ctx); err != nil {
		return err
	}
	return l.remember()
}

// load reads the configuration; here an explicitly named file may be missing,
// because it will be written.
func (l *login) load(cmd *cobra.Command) (err error) {
	if l.file, _, err = l.configFile(); err != nil {
		return &config.Error{Msg: "configuration file", Err: err}
	}
	if l.file == "" {
		return &config.Error{Msg: "no place for the configuration", Err: errNoHome, Hints: []string{"give one with --config FILE"}}
	}
	// Better to hear of a directory that cannot be written before the password
	// is typed.
	if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
		return &config.Error{Msg: "make the directory of the configuration", Err: err}
	}
	l.config, err = l.loadFile(cmd, l.file, false)
	return err
}

// choose finds the account: the argument, JETSEND_JID, the account that is
// named or the default, or what is typed.
func (l *login) choose(ctx context.Context, args []string) error {
	address := l.Env("JETSEND_JID")
	if len(args) == 1 {
		address = args[0]
	}
	sel := l.selection()
	sel.JID = address
	_, _, known := l.config.Named(sel.Name)
	var err error
	if address == "" && !known {
		if l.chosen, err = l.config.Choose(config.Selection{}); err != nil || sel.Name != "" {
			if address, err = l.askJID(ctx); err != nil {
				return err
			}
		} else {
			address = l.chosen.JID
		}
	}
	if address != "" {
		if j, err := jid.Parse(address); err != nil || j.Local() == "" || !j.IsBare() {
			return usagef("%q is not the address of an account", address).hint("write it as name@domain, without a resource")
		}
	}
	sel.JID = address
	name := sel.Name
	if !known { // a new name for an account, new or not
		sel.Name = ""
	}
	if l.chosen, err = l.config.Choose(sel); err != nil {
		return err
	}
	switch {
	case name != "" && !known:
		l.chosen.Name = name
	case l.chosen.Name == "":
		l.chosen.Name = l.chosen.Addr.String()
	}
	l.chosen.Ephemeral = false
	return nil
}

func (l *login) askJID(ctx context.Context) (string, error) {
	missing := usagef("which account? no JID was given, and there is no terminal to ask").hint("run `jetsend login name@domain`")
	if !l.interactive() {
		return "", missing
	}
	t, err := l.OpenTTY()
	if err != nil {
		return "", missing
	}
	defer t.Close()
	return t.Ask(ctx, "address of the account (name@domain): ")
}

// findPassword takes the password from outside, else asks a person, else uses
// the one that is stored.
func (l *login) findPassword(ctx context.Context) (err error) {
	s := l.secrets()
	a := l.chosen.Account
	l.external = a.PasswordFile != "" || a.PasswordCommand != ""
	if s.Prompt != nil && !l.external {
		a.Password, a.Keyring = "", false // ask, the stored one may be wrong
	}
	l.password, err = s.Lookup(ctx, &config.Chosen{Account: a, Addr: l.chosen.Addr})
	if s.Password != "" || s.PasswordFile != "" {
		l.external = l.external && l.store == ""
	}
	return err
}

// connectOnce logs in and publishes the device.
func (l *login) connectOnce(ctx context.Context) error {
	stateDir, err := l.stateDir()
	if err != nil {
		return err
	}
	pool, err := rootCAs(l.chosen.TLSCAFile)
	if err != nil {
		return err
	}
	e, err := l.dial(ctx, dialOptions{
		Account: l.chosen, Password: l.password, RootCAs: pool, StateDir: stateDir, Trust: l.config.Trust,
		Login: true, Priority: -1, S5B: l.config.Transports.S5B, Report: l.print.Event, Log: l.log,
	})
	if err != nil {
		return err
	}
	defer l.hangUp(ctx, e)
	id, fingerprint := e.Device()
	l.print.Note("logged in as %s", l.chosen.Addr)
	l.print.Note("this device: %d, key %s", id, groups(fingerprint))
	if l.global.json {
		l.print.Rows([]record{deviceRecord{JID: l.chosen.Addr.String(), ID: id, Fingerprint: fingerprint, Trust: trustOwn, Active: true}})
	}
	return nil
}

// remember stores the password and writes the account.
func (l *login) remember() error {
	a := l.chosen.Account
	a.JID = l.chosen.Addr.String()
	var err error
	for _, path := range []*string{&a.TLSCAFile, &a.PasswordFile} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return &config.Error{Msg: "write the configuration", Err: err}
		}
	}
	where := "the password stays where it is"
	if !l.external || l.store != "" {
		a.Password, a.PasswordFile, a.PasswordCommand, a.Keyring = "", "", "", false
		if where, err = l.storePassword(&a); err != nil {
			return err
		}
	}
	if err := config.SetAccount(l.file, l.chosen.Name, a); err != nil {
		return err
	}
	l.print.Note("account %s written to %s, %s", l.chosen.Name, l.file, where)
	return nil
}

// storePassword keeps the password as --store says and tells where.
func (l *login) storePassword(a *config.Account) (string, error) {
	if l.store == "" || l.store == storeKeyring {
		err := l.keyring.Set(a.JID, l.password)
		if err == nil {
			a.Keyring = true
			return "the password to the keyring", nil
		}
		if l.store == storeKeyring {
			return "", &config.Error{Msg: "store the password", Err: err, Hints: []string{"use --store file, or --store none"}}
		}
		l.log.Info("keyring", "error", err)
	}
	if l.store == storeNone {
		return "the password is not stored", nil
	}
	a.Password = l.password
	return "with the password in it, readable by you alone", nil
}

func newLogoutCommand(a *app) *cobra.Command {
	var forget bool
	cmd := &cobra.Command{
		Use:     "logout",
		GroupID: groupAccount,
		Short:   "Take this machine's OMEMO device off the server",
		Long: `Take this machine's OMEMO device off the account's device list and delete its
keys from the server, so that nobody encrypts to it any more. The local state
stays: the next command that connects publishes the device again.

--forget also deletes the local state: the OMEMO keys and everything known about
contacts' keys, the stored password, and the account in the configuration file.
Contacts who verified this device must verify the next one anew.

` + exitStatus(onlineCodes()...),
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogout(cmd, a, forget) },
	}
	cmd.Flags().BoolVar(&forget, "forget", false, "also delete the local state, the stored password and the account's configuration")
	return cmd
}

func runLogout(cmd *cobra.Command, a *app, forget bool) error {
	ctx := cmd.Context()
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	chosen, err := c.Choose(a.selection())
	if err != nil {
		return err
	}
	e, err := a.connect(ctx, c, nil)
	if err != nil {
		return err
	}
	err = e.Withdraw(ctx)
	a.hangUp(ctx, e)
	if err != nil {
		return fmt.Errorf("withdraw the device of %s: %w", chosen.Addr, err)
	}
	a.print.Note("the device of %s is off the server's lists", chosen.Addr)
	if !forget {
		return nil
	}
	return a.forget(c, chosen)
}

// forget deletes what this machine knows of an account.
func (a *app) forget(c *config.Config, chosen *config.Chosen) error {
	dir, err := a.stateDir()
	if err != nil {
		return err
	}
	if err := removeState(dir, chosen.Addr); err != nil {
		return &failureError{exitcode.LocalFile, fmt.Errorf("delete the state: %w", err)}
	}
	if err := a.keyring.Delete(chosen.Addr.String()); err != nil &&
		!errors.Is(err, config.ErrNoKeyring) && !errors.Is(err, config.ErrNotInKeyring) {
		a.console.warn("the password is still in the keyring: %v", err)
	}
	if chosen.Name != "" {
		if err := config.RemoveAccount(c.File, chosen.Name); err != nil {
			return err
		}
	}
	a.print.Note("the keys, the password and the configuration of %s are deleted", chosen.Addr)
	return nil
}
