package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"jetsend/internal/clean"
	"jetsend/internal/config"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
)

const registerHelp = `Make an account on an XMPP server that lets people do so, and log in to it.

JID is the address that you want, such as juliet@capulet.example. LINK is an invitation of
a server, such as xmpp:capulet.example?register;preauth=TOKEN: where it names no address, JID
stands before it, or you are asked. A server that lets people register on a page
only says so, with the address of the page; log in with "jetsend login" when you have done that.

On a terminal you choose a password, which is typed twice. Leave it empty, or give --generate,
and a long one is made that you need not know: it is kept as --store says. Elsewhere the
password is that of JETSEND_PASSWORD or JETSEND_PASSWORD_FILE, or one is made.

--store says where the password is kept: in the desktop's keyring, in the configuration
file (readable by you alone), or nowhere. Without it, it goes to the keyring, or to the file
on a machine without one.`

func newRegisterCommand(a *app) *cobra.Command {
	store := &choice{words: []string{storeKeyring, storeFile, storeNone}}
	var generate bool
	cmd := &cobra.Command{
		Use:     "register [JID] [LINK]",
		GroupID: groupAccount,
		Short:   "Make an account on a server, and log in to it",
		Long:    registerHelp + "\n\n" + exitStatus(append(onlineCodes(), exitcode.Declined)...),
		Example: examples("jetsend register juliet@capulet.example", "jetsend register juliet@capulet.example 'xmpp:capulet.example?register;preauth=TOKEN'"),
		Args:    between(0, 2, "the address, and an invitation of its server"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := registration{login: login{app: a, store: store.value}, generate: generate}
			return r.run(cmd, args)
		},
	}
	cmd.Flags().Var(store, "store", "where to keep the password: keyring, file, none (default: keyring, else file)")
	cmd.Flags().BoolVar(&generate, "generate", false, "make a password, and keep it")
	return cmd
}

// registration is one run of the command.
type registration struct {
	login
	generate bool
	token    string // of an invitation of the server
}

// passwordAtLeast is the shortest password that may be chosen, in bytes.
const passwordAtLeast = 8

func (r *registration) run(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	if err := r.load(cmd); err != nil {
		return err
	}
	address, err := r.address(ctx, args)
	if err != nil {
		return err
	}
	if err := r.choose(ctx, []string{address}); err != nil {
		return err
	}
	return r.make(ctx)
}

// make makes the account that was chosen, logs in to it, and remembers it.
func (r *registration) make(ctx context.Context) error {
	if err := r.choosePassword(ctx); err != nil {
		return err
	}
	roots, err := r.roots()
	if err != nil {
		return err
	}
	o := dialOptions{Account: r.chosen, Password: r.password, RootCAs: roots, Log: r.log}
	err = r.before(func() error {
		err := r.register(ctx, o, r.token, r.fill)
		if err == nil {
			r.print.Note("the account %s is made", r.chosen.Addr)
		}
		return err
	})
	if err != nil {
		return r.refused(err)
	}
	if err := r.publish(ctx); err != nil {
		return err
	}
	r.next()
	return nil
}

// roots are the certificates to trust.
func (r *registration) roots() (*x509.CertPool, error) {
	if err := r.claim("the certificates", r.chosen.TLSCAFile); err != nil {
		return nil, err
	}
	return rootCAs(r.chosen.TLSCAFile)
}

// address is the address that is wanted, by the arguments or as it is typed. Of a link the
// token is taken.
func (r *registration) address(ctx context.Context, args []string) (address string, err error) {
	domain := ""
	for _, arg := range args {
		switch isLink := invite.Token(arg) != ""; {
		case invite.IsLink(arg):
			return "", usagef("this is an invitation of a person, not of a server").hint("run `jetsend contacts add` and paste it; an account is made on the way")
		case isLink && r.token == "":
			var named string
			if named, domain, err = r.invitation(arg); err != nil {
				return "", err
			}
			address = cmp.Or(address, named)
		case isLink || address != "":
			return "", usagef("one address, and one invitation of its server")
		default:
			address = arg
		}
	}
	if address == "" {
		if address, err = r.askAddress(ctx, domain); err != nil {
			return "", err
		}
	}
	if j, err := jid.ParseTyped(address); domain != "" && err == nil && j.Domain() != domain {
		return "", usagef("the invitation is of %s, and %s is another server's", clean.Text(domain), clean.Text(address))
	}
	return address, nil
}

// invitation takes the token out of the invitation of a server, and finds the address that it
// names, if it does, and the server.
func (r *registration) invitation(link string) (address, domain string, err error) {
	j, err := jid.ParseTyped(link)
	if err != nil {
		return "", "", usagef("%q is not an invitation of a server", clean.Text(link))
	}
	r.token = invite.Token(link)
	r.print.Event(event.Warning{Text: "others on this machine may see arguments, and whoever has the invitation first has the account"})
	if j.Local() != "" && registers(link) {
		address = j.Bare().String()
	}
	return address, j.Domain(), nil
}

// registers reports whether the address in a link is the one to register, and not that of the
// one who invites (XEP-0401 section 3).
func registers(link string) bool {
	_, query, _ := strings.Cut(link, "?")
	return strings.HasPrefix(query, "register")
}

// askAddress asks for the address; where the domain is known, its name does.
func (r *registration) askAddress(ctx context.Context, domain string) (string, error) {
	missing := usagef("which address? none was given, and there is no terminal to ask").hint("run `jetsend register name@domain`")
	ask := "address that you want (name@domain): "
	if domain != "" {
		ask = "name that you want at " + clean.Text(domain) + ": "
	}
	typed, err := r.askPerson(missing, func(t terminal) (string, error) { return t.Ask(ctx, ask) })
	switch {
	case err == nil && typed == "":
		return "", usagef("no address was typed").hint("run `jetsend register name@domain`")
	case err == nil && domain != "" && !strings.Contains(typed, "@"):
		typed += "@" + domain
	}
	return typed, err
}

// choosePassword takes the password from the environment or a person, or makes one.
func (r *registration) choosePassword(ctx context.Context) error {
	s := r.secrets()
	person := s.Prompt != nil
	s.Prompt = nil
	account := *r.chosen
	account.Password, account.Keyring = "", false
	switch outside := s.Outside(&account); {
	case outside != "" && r.generate:
		return usagef("--generate, and %s gives a password", outside).hint("leave one of them out")
	case outside != "":
		r.keep = r.store == ""
		var err error
		r.password, err = r.lookup(ctx, s, &account)
		return err
	case person && !r.generate:
		var err error
		if r.password, err = r.typed(ctx, " (empty: one is made and kept): "); r.password != "" || err != nil {
			return err
		}
	}
	if r.store == storeNone {
		return usagef("a password is made, and --store none would lose it").hint("use --store file or --store keyring, or type one")
	}
	r.password = rand.Text()
	return nil
}

// typed asks for a password twice; empty where it was left so.
func (a *app) typed(ctx context.Context, what string) (string, error) {
	t, err := a.OpenTTY()
	if err != nil {
		return "", err
	}
	defer func() { _ = t.Close() }() // nothing is left in it
	defer a.console.hold()()
	for range passwordTries {
		first, err := t.Password(ctx, "new password"+what)
		if err != nil || first == "" {
			return "", err
		}
		if len(first) < passwordAtLeast {
			a.print.Event(event.Warning{Text: fmt.Sprintf("a password has at least %d bytes: try again", passwordAtLeast)})
			continue
		}
		again, err := t.Password(ctx, "the same password again: ")
		if err != nil {
			return "", err
		}
		if first == again {
			return first, nil
		}
		a.print.Event(event.Warning{Text: "the two are not the same: try again"})
	}
	return "", usagef("no password was chosen")
}

// fill answers what the server's form asks.
func (r *registration) fill(ctx context.Context, f *session.Form) error {
	if text := clean.Text(f.Instructions); text != "" && len(f.Fields) > 0 {
		r.print.Note("the server says: %s", text)
	}
	for _, field := range f.Fields {
		if err := r.answer(ctx, field); err != nil {
			return err
		}
	}
	return nil
}

// answer asks for what a field wants, if it has to be asked.
func (r *registration) answer(ctx context.Context, f *session.FormField) error {
	label := clean.Text(cmp.Or(f.Label, f.Var))
	for _, at := range f.Media {
		if isPage(at) {
			r.print.Note("to see what is asked open %s", clean.Text(at))
		} else {
			r.print.Note("the server asks about a picture, which cannot be shown here")
		}
	}
	switch {
	case f.Type == "fixed":
		if text := clean.Text(f.Value); text != "" {
			r.print.Note("the server says: %s", text)
		}
		return nil
	case f.Value != "" && !slices.Contains([]string{"text-private"}, f.Type):
		if isPage(f.Value) { // of a CAPTCHA (XEP-0158), and for whoever sees no pictures
			r.print.Note("to see what is asked open %s", clean.Text(f.Value))
		}
		return nil
	case !f.Required && len(f.Media) == 0 && f.Var != "ocr":
		return nil
	case !r.interactive():
		return &fault.Failure{
			Code: exitcode.Declined, Reason: "the server also asks for " + label + ", and there is no terminal to ask you",
			Hints: []string{"run it on a terminal"},
		}
	}
	t, err := r.OpenTTY()
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // nothing is left in it
	if len(f.Options) > 0 {
		label += " (" + clean.Text(strings.Join(f.Options, ", ")) + ")"
	}
	ask := t.Ask
	if f.Type == "text-private" {
		ask = t.Password
	}
	f.Value, err = ask(ctx, label+": ")
	return err
}

func isPage(text string) bool {
	return strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://")
}

// refused explains why there is no account.
func (r *registration) refused(err error) error {
	var no *session.RegisterError
	if !errors.As(err, &no) {
		return err
	}
	f := &fault.Failure{Code: exitcode.Declined, Reason: no.Error(), Hints: nil}
	if text := clean.Text(no.Text); text != "" && no.Condition != stanza.Conflict {
		f.Reason += ": " + text
	}
	switch {
	case no.URL != "":
		f.Hints = append(f.Hints, "open "+clean.Text(no.URL)+", and then run `"+r.again("login", r.chosen.Addr.String())+"`")
	case no.Condition == stanza.Conflict:
		f.Hints = append(f.Hints, "if it is yours run `"+r.again("login", r.chosen.Addr.String())+"`; else choose another one")
	case r.token != "":
		f.Hints = append(f.Hints, "ask for another invitation")
	default:
		f.Hints = append(f.Hints, "ask whoever runs the server for an invitation or an account, or choose another server")
	}
	return f
}

func newAccountCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "account", GroupID: groupAccount, Short: "Change the account", Long: "Change the account.\n\n" + exitStatus(onlineCodes()...),
		Args: unknownCommand, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var generate bool
	password := &cobra.Command{
		Use: "password", Short: "Give the account another password", Args: exactly(0, ""),
		Long: `Give the account another password on its server. On a terminal it is typed twice. Leave it
empty, or give --generate, and a long one is made that you need not know. It is kept where the
old one was, in the keyring or in the configuration file. A password that comes from
elsewhere (password_command, password_file, the environment) has to be changed there
by you, so that a made one goes to the configuration file's place only where that has it.

Other machines and clients of the account have to be told the new password.

` + exitStatus(append(onlineCodes(), exitcode.Declined)...),
		Example: examples("jetsend account password"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPassword(cmd, a, generate) },
	}
	password.Flags().BoolVar(&generate, "generate", false, "make a password, and keep it")
	cmd.AddCommand(password)
	return cmd
}

func runPassword(cmd *cobra.Command, a *app, generate bool) (err error) {
	ctx := cmd.Context()
	l := &login{app: a}
	if err := l.load(cmd); err != nil {
		return err
	}
	if l.chosen, err = l.config.Choose(a.selection()); err != nil {
		return err
	}
	kept := l.chosen.Keyring || l.chosen.Password != ""
	if outside := a.secrets().Outside(l.chosen); outside != "" {
		kept = false
		a.print.Event(event.Warning{Text: "the password comes from " + outside + ": change it there as well"})
	}
	old, err := a.lookup(ctx, a.secrets(), l.chosen)
	if err != nil {
		return err
	}
	if l.password, err = a.newPassword(ctx, kept, generate); err != nil {
		return err
	}
	e, err := a.open(ctx, l.config, l.chosen, func(o *dialOptions) { o.ByPassword, o.Password = true, old })
	if err != nil {
		return err
	}
	defer a.hangUp(ctx, e)
	tell := func() error { return l.tell(ctx, e, old) }
	if l.store = storeFile; l.chosen.Keyring {
		l.store = storeKeyring
	}
	if !kept {
		err = tell()
	} else {
		err = l.before(tell)
	}
	if err != nil {
		return (&registration{login: *l}).refused(err)
	}
	a.print.Note("%s has its new password", l.chosen.Addr)
	return nil
}

// tell changes the password. Where the server's answer is lost, a login with the old one tells
// whether that was before the change: then it counts as refused.
func (l *login) tell(ctx context.Context, e endpoint, old string) error {
	err := e.ChangePassword(ctx, l.password)
	var no *session.RegisterError
	if err == nil || errors.As(err, &no) {
		return err
	}
	again, lerr := l.open(ctx, l.config, l.chosen, func(o *dialOptions) { o.ByPassword, o.Password = true, old })
	if lerr == nil {
		l.hangUp(ctx, again)
		return errors.Join(err, &session.RegisterError{Condition: "undefined-condition", Text: "it was not changed"})
	}
	var auth *session.AuthError
	if errors.As(lerr, &auth) && auth.Condition == wrongPassword {
		return nil // it has been changed
	}
	return fmt.Errorf("whether the password is another one now is not known: %w", err)
}

// newPassword is typed, or made where it can be kept.
func (a *app) newPassword(ctx context.Context, kept, generate bool) (password string, err error) {
	if a.interactive() && !generate {
		what := ": "
		if kept {
			what = " (empty: one is made and kept): "
		}
		if password, err = a.typed(ctx, what); err != nil || password != "" {
			return password, err
		}
	} else if !generate {
		return "", usagef("there is no terminal to ask for the new password").hint("let one be made, with --generate")
	}
	if !kept {
		return "", &config.Error{Msg: "a password is made, and there is no place to keep it", Hints: []string{"run `" + a.again("login") + "` first, with --store"}}
	}
	return rand.Text(), nil
}
