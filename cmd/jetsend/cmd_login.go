package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
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
you are asked, and may have an account made, as "jetsend register" does. The password is asked for on the terminal, up to three times, and
never shown. It is taken from JETSEND_PASSWORD or JETSEND_PASSWORD_FILE instead when
they are set, or from the password_file or password_command that the account has.

--store says where the password is kept: in the desktop's keyring, in the
configuration file (readable by you alone), or nowhere. Without --store a typed
password goes to the keyring, or to the file on a machine without one, and a
password that was not typed stays where it was.

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
	cmd.Flags().Var(store, "store", "where to keep the password: keyring, file, none (default: keyring, else file)")
	return cmd
}

// login is one run of the command.
type login struct {
	*app
	store    string // --store, "" when not given
	file     string
	config   *config.Config
	chosen   *config.Chosen
	password string
	// keep leaves what the file says about the password: it came from there, or
	// from the environment, which is not ours to copy unasked.
	keep bool
}

func (l *login) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if err := l.load(cmd); err != nil {
		return err
	}
	err := l.choose(ctx, args)
	if errors.Is(err, errNoAccount) {
		return (&registration{login: *l}).run(cmd, nil)
	}
	if err != nil {
		return err
	}
	if err := l.try(ctx); err != nil {
		return err
	}
	if err := l.remember(); err != nil {
		return err
	}
	l.next()
	return nil
}

// passwordTries is how often a person may type the password.
const passwordTries = 3

// try logs in, with another password when a typed one is wrong. A login that fails
// leaves no state of an account that may not exist.
func (l *login) try(ctx context.Context) error {
	dir, err := l.stateDir()
	if err != nil {
		return err
	}
	fresh := !exists(state.Path(dir, l.chosen.Addr))
	for n := 1; ; n++ {
		if err = l.findPassword(ctx); err == nil {
			err = l.publish(ctx)
		}
		var auth *session.AuthError
		if l.keep || n == passwordTries || !errors.As(err, &auth) || auth.Condition != wrongPassword {
			break
		}
		l.print.Event(event.Warning{Text: "wrong password, or no such account as " + l.chosen.Addr.String() + ": try again"})
	}
	if err != nil && fresh {
		l.dropState(dir)
	}
	var auth *session.AuthError
	if errors.As(err, &auth) && auth.Condition == wrongPassword && !l.keep {
		l.print.Note("no account there yet? run `%s`", l.again("register", l.chosen.Addr.String()))
	}
	return err
}

// dropState removes the state that a login has made which came to nothing, unless a
// receiver has begun to use it.
func (l *login) dropState(dir string) {
	if !exists(state.Path(dir, l.chosen.Addr)) {
		return
	}
	lock, err := transfer.LockReceiver(dir, l.chosen.Addr, "")
	if err == nil {
		err = errors.Join(removeState(dir, l.chosen.Addr), lock.Release())
	}
	if err != nil {
		l.log.Warn("the state of an account that was not logged in to stays", "error", err)
	}
}

// next says what can be done with an account.
func (l *login) next() {
	l.print.Note("to receive files run `%s`", l.again("receive"))
	l.print.Note("to invite somebody run `%s`; with an invitation of theirs run `%s`", l.again("invite"), l.again("contacts", "add"))
	l.print.Note("already contacts? just send: `%s`", l.again("send", "FILE", "name@domain"))
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
	l.config, err = l.loadFile(cmd, l.file, false)
	return err
}

// choose finds the account: by the argument, JETSEND_JID, its name, or as the
// default one, else by what is typed.
func (l *login) choose(ctx context.Context, args []string) (err error) {
	sel := l.selection()
	if len(args) == 1 {
		sel.JID = args[0]
	}
	_, _, known := l.config.Named(sel.Name)
	if sel.JID == "" && sel.Name == "" {
		if l.chosen, err = l.config.Choose(sel); err == nil {
			return nil
		}
	}
	if sel.JID == "" && !known {
		if sel.JID, err = l.askJID(ctx); err != nil {
			return err
		}
	}
	if j, err := jid.ParseTyped(sel.JID); sel.JID != "" && (err != nil || j.Local() == "" || !j.IsBare()) {
		return usagef("%q is not the address of an account", clean.Text(sel.JID)).hint("write it as name@domain, without a resource")
	}
	name := sel.Name
	if !known {
		sel.Name = ""
	}
	if l.chosen, err = l.config.Choose(sel); err != nil {
		return err
	}
	if known {
		name = ""
	}
	l.chosen.Ephemeral = false
	return l.name(name)
}

// name gives the account that was chosen a name, if it has none: name, or else its address.
func (l *login) name(name string) error {
	l.chosen.Name = cmp.Or(name, l.chosen.Name, l.chosen.Addr.String())
	if !config.ValidName(l.chosen.Name) {
		return usagef("%q cannot be the name of an account", clean.Text(l.chosen.Name)).hint("give it another one with --account NAME")
	}
	return nil
}

func (l *login) askJID(ctx context.Context) (string, error) {
	missing := usagef("which account? no JID was given, and there is no terminal to ask").hint("run `jetsend login name@domain`")
	typed, err := l.askPerson(missing, func(t terminal) (string, error) {
		return t.Ask(ctx, "address of your account (name@domain; none yet: just Enter): ")
	})
	if err == nil && typed == "" {
		err = errNoAccount
	}
	return typed, err
}

// errNoAccount means that there is no account yet.
var errNoAccount = errors.New("no account yet")

// findPassword takes the password from the environment or from the file or
// command of the account, else asks a person, else uses the stored one. A
// stored one is no reason not to ask: it may be wrong.
func (l *login) findPassword(ctx context.Context) (err error) {
	s, a := l.secrets(), *l.chosen
	l.keep = s.Outside(&a) != "" || s.Prompt == nil
	if !l.keep {
		a.Password, a.Keyring = "", false
	}
	l.password, err = l.lookup(ctx, s, &a)
	return err
}

// publish logs in and publishes the device.
func (l *login) publish(ctx context.Context) error {
	e, err := l.open(ctx, l.config, l.chosen, func(o *dialOptions) { o.Login, o.ByPassword, o.Password = true, true, l.password })
	if err != nil {
		return err
	}
	defer l.hangUp(ctx, e)
	id, fingerprint := e.Device()
	l.print.Note("logged in as %s", l.chosen.Addr)
	l.print.Note("this device: %d, with the key\n%s", id, keyLines(fingerprint))
	if l.global.json {
		l.print.Rows([]record{ownRecord(l.chosen.Addr, id, fingerprint)})
	}
	return nil
}

// remember stores the password, writes the account, and says so.
func (l *login) remember() error {
	done, err := l.keepAccount()
	if err == nil {
		l.print.Note("%s", done)
	}
	return err
}

// keepAccount stores the password and writes the account. It returns what is to be said of that.
func (l *login) keepAccount() (done string, err error) {
	a := config.Account{JID: l.chosen.Addr.String(), Server: l.Env("JETSEND_SERVER")}
	if ca := l.envPath("JETSEND_TLS_CA_FILE"); ca != "" {
		if a.TLSCAFile, err = filepath.Abs(ca); err != nil {
			return "", &config.Error{Msg: "JETSEND_TLS_CA_FILE", Err: err}
		}
	}
	where := "the password is not stored"
	if l.chosen.HasPassword() {
		where = "the password stays where it was"
	}
	keep := l.keep && l.store == ""
	if !keep {
		if where, err = l.storePassword(&a); err != nil {
			return "", err
		}
	}
	if err := config.SetAccount(l.file, l.chosen.Name, a, keep); err != nil {
		return "", err
	}
	if l.chosen.Keyring && !a.Keyring && !keep {
		if err := l.keyring.Delete(a.JID); err != nil && !errors.Is(err, config.ErrNotInKeyring) {
			l.print.Event(event.Warning{Text: "the password is still in the keyring: " + err.Error()})
		}
	}
	return fmt.Sprintf("account %s written to %s, %s", clean.Text(l.chosen.Name), clean.Text(l.file), where), nil
}

// before keeps the new password where it belongs, and only then has the server told: nobody else
// knows one that was made. What the server refuses is taken back.
func (l *login) before(tell func() error) error {
	old, known := l.config.Accounts[l.chosen.Name]
	ring, ringErr := l.keyring.Get(l.chosen.Addr.String())
	done, err := l.keepAccount()
	if err != nil {
		return err
	}
	err = tell()
	var no *session.RegisterError
	switch {
	case err == nil:
		l.print.Note("%s", done)
	case errors.As(err, &no):
		l.takeBack(old, known, ring, ringErr == nil)
	}
	return err
}

// takeBack has the configuration and the keyring be as they were.
func (l *login) takeBack(old config.Account, known bool, ring string, inRing bool) {
	var err error
	if known {
		err = config.SetAccount(l.file, l.chosen.Name, old, false)
	} else {
		err = config.RemoveAccount(l.file, l.chosen.Name)
	}
	switch {
	case inRing:
		err = errors.Join(err, l.keyring.Set(l.chosen.Addr.String(), ring))
	default:
		if kerr := l.keyring.Delete(l.chosen.Addr.String()); !errors.Is(kerr, config.ErrNotInKeyring) && !errors.Is(kerr, config.ErrNoKeyring) {
			err = errors.Join(err, kerr)
		}
	}
	if err != nil {
		l.print.Event(event.Warning{Text: "a password that is none is still kept: " + err.Error()})
	}
}

// storePassword keeps the password as --store says and tells where.
func (l *login) storePassword(a *config.Account) (string, error) {
	if l.store == "" || l.store == storeKeyring {
		err := l.keyring.Set(a.JID, l.password)
		if err == nil {
			a.Keyring = true
			return "the password is in the keyring", nil
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
	return "the password is in it, readable by you alone", nil
}
