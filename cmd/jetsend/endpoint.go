package main

import (
	"context"
	"crypto/x509"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"jetsend/internal/acquaint"
	"jetsend/internal/config"
	"jetsend/internal/contact"
	"jetsend/internal/doctor"
	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/route"
	"jetsend/internal/session"
	"jetsend/internal/state"
	"jetsend/internal/transfer"
)

// endpoint is the account online, as far as the commands use it. The real one
// is a *transfer.Endpoint.
type endpoint interface {
	JID() jid.JID
	Send(context.Context, transfer.SendOptions) error
	// Reach waits until somebody is there to whom Send would offer.
	Reach(context.Context, transfer.SendOptions) error
	Receive(context.Context, transfer.ReceiveOptions) error
	// Alive returns nil while Receive is at work, and waits for that.
	Alive(context.Context) error
	Resume(context.Context, transfer.ResumeOptions) error
	// Hold keeps all bytes from moving, and what would move some from beginning, until it
	// is called with false.
	Hold(bool)
	// LimitRate changes the limit of what runs, in bytes per second; 0: none.
	LimitRate(int64)
	// Link says how the server is reached and how we logged in; nil between two streams.
	Link() (l *session.Link, mechanism string)
	// DryRun does what Send does up to its offers, and says what they would be.
	DryRun(context.Context, transfer.SendOptions) ([]doctor.Plan, error)
	// Diagnose looks at the account and the contact; a zero To means no contact.
	Diagnose(context.Context, transfer.SendOptions, func(doctor.Finding)) (*doctor.Plan, error)
	// Device returns our OMEMO device.
	Device() (id uint32, fingerprint string)
	// Withdraw takes our OMEMO device off the server's lists.
	Withdraw(context.Context) error
	Roster() roster
	// Meet lets those in who redeem our invitations, and redeems what was taken, until ctx
	// ends.
	Meet(context.Context)
	// Await is Meet until an invitation is not open any more.
	Await(context.Context, invitationID) (*acquaint.Invitation, error)
	// Redeem redeems an invitation, and returns when it is answered.
	Redeem(context.Context, *invite.Link) error
	// ChangePassword gives the account another password.
	ChangePassword(context.Context, string) error
	// LearnKeys fetches a contact's devices and their keys, and returns those
	// known ones that publish another key now, with that key.
	LearnKeys(ctx context.Context, of jid.JID) (changed []device, err error)
	// OwnDevices lists the account's devices, this one first.
	OwnDevices(context.Context) ([]device, error)
	// RemoveOwnDevice takes another device off the account's list.
	RemoveOwnDevice(ctx context.Context, id uint32) error
	Close(context.Context) error
}

// roster is the account's list of contacts (RFC 6121).
type roster interface {
	List(context.Context) ([]contact.Entry, error)
	// Items are those of the list alone, as the login has brought it.
	Items(context.Context) ([]contact.Entry, error)
	// Name gives a contact a name on the list.
	Name(ctx context.Context, of jid.JID, name string) error
	// Subscribe asks to see the presence of a contact.
	Subscribe(context.Context, jid.JID) error
	// Approve lets a contact see ours. Without error and sight it has not asked, and
	// its request will be accepted when it comes.
	Approve(context.Context, jid.JID) (sees bool, err error)
	// Remove takes a contact off the list, which ends both directions.
	Remove(context.Context, jid.JID) error
}

// keys is the trust table of the state directory, readable without a network.
type keys interface {
	Device() (id uint32, fingerprint string)
	List(ctx context.Context, of jid.JID) ([]device, error) // zero: of all contacts
	// Verify and Distrust record what the user decided about a known key.
	Verify(ctx context.Context, of jid.JID, fingerprint string) error
	Distrust(ctx context.Context, of jid.JID, fingerprint string) error
	// Replace gives a device another key, which the user compared.
	Replace(ctx context.Context, of jid.JID, device uint32, fingerprint string) error
	// Reset forgets the sessions with a contact's device, or with all (0), and returns
	// the ids of those devices.
	Reset(ctx context.Context, of jid.JID, device uint32) ([]uint32, error)
	Close() error
}

// device is an OMEMO device of a contact.
type device struct {
	JID         jid.JID
	ID          uint32
	Fingerprint string
	Known       string // the key that it has shown so far, when Fingerprint is another
	Trust       string
	Active      bool // still on the contact's list
	LastUsed    time.Time
	Decided     time.Time // when it was verified or distrusted
	Invited     bool      // verified by an invitation
}

// dialOptions says how to go online.
type dialOptions struct {
	Account    *config.Chosen
	Password   string
	RootCAs    *x509.CertPool // nil: the system's
	StateDir   string
	Trust      string // blind or verified
	Receiver   bool
	Output     bool // of a Receiver: one file goes to standard output
	Acquaint   bool // for Meet, Await and Redeem; a Receiver has them anyway
	Login      bool // the user asked for an OMEMO device by `jetsend login`
	ByPassword bool // it is the password that is looked at
	Priority   int8
	Transports config.Transports
	KeepFor    time.Duration  // interrupted transfers, after the last byte; 0: for ever
	Gather     *route.Options // what a send that begins at once may do
	Report     func(event.Event)
	Connection func(session.State) // is told of every change of the stream; may be nil
	Log        *slog.Logger
}

// loadConfig reads the configuration with the flags of cmd over it.
func (a *app) loadConfig(cmd *cobra.Command) (*config.Config, error) {
	file, named, err := a.configFile()
	if err != nil {
		return nil, &config.Error{Msg: "configuration file", Err: err}
	}
	c, err := a.loadFile(cmd, file, named)
	if err == nil {
		a.learn(cmd.Context(), c)
	}
	return c, err
}

func (a *app) loadFile(cmd *cobra.Command, file string, mustExist bool) (*config.Config, error) {
	if err := a.claim("the configuration", file); err != nil {
		return nil, err
	}
	return config.Load(config.Options{File: file, MustExist: mustExist, Home: a.home(), Flags: boundFlags(cmd.Flags())})
}

// selection is what flags and environment say about the account.
func (a *app) selection() config.Selection {
	name := a.global.account
	if name == "" {
		name = a.Env("JETSEND_ACCOUNT")
	}
	return config.Selection{
		Name: name, JID: a.Env("JETSEND_JID"), Server: a.Env("JETSEND_SERVER"), TLSCAFile: config.InputPath(a.envPath("JETSEND_TLS_CA_FILE")),
	}
}

// secrets is where passwords come from. The terminal is last, and only there
// when there is a person.
func (a *app) secrets() config.Secrets {
	s := config.Secrets{
		Password: a.Env("JETSEND_PASSWORD"), PasswordFile: config.InputPath(a.envPath("JETSEND_PASSWORD_FILE")),
		Keyring: a.keyring, Stderr: a.Stderr,
	}
	if a.interactive() {
		s.Prompt = a.askPassword
	}
	return s
}

// lookup finds the password of an account.
func (a *app) lookup(ctx context.Context, s config.Secrets, account *config.Chosen) (string, error) {
	if err := a.claimPassword(s, account); err != nil {
		return "", err
	}
	a.outside = s.Outside(account)
	return s.Lookup(ctx, account)
}

// claimPassword is claim for the file, if it is one, that the password comes from.
func (a *app) claimPassword(s config.Secrets, account *config.Chosen) error {
	name, file := s.File(account)
	return a.claim("the password ("+name+")", file)
}

// askPerson asks a person on the terminal. Without either the error is missing.
func (a *app) askPerson(missing error, how func(terminal) (string, error)) (string, error) {
	if !a.interactive() {
		return "", missing
	}
	t, err := a.OpenTTY()
	if err != nil {
		return "", missing
	}
	defer func() { _ = t.Close() }() // nothing is left in it
	defer a.console.hold()()
	return how(t)
}

// askPassword asks on the terminal.
func (a *app) askPassword(ctx context.Context, account jid.JID) (string, error) {
	t, err := a.OpenTTY()
	if err != nil {
		return "", err
	}
	defer func() { _ = t.Close() }() // nothing is left in it
	defer a.console.hold()()
	password, err := t.Password(ctx, "password of "+account.String()+": ")
	if err == nil && password == "" {
		err = &config.Error{Msg: "no password was typed"}
	}
	return password, err
}

// connect goes online with the account that flags, environment and
// configuration choose.
func (a *app) connect(ctx context.Context, c *config.Config, change func(*dialOptions)) (endpoint, error) {
	account, err := c.Choose(a.selection())
	if err != nil {
		return nil, err
	}
	return a.open(ctx, c, account, change)
}

// online goes online, lets do its work, and hangs up.
func (a *app) online(ctx context.Context, c *config.Config, do func(context.Context, endpoint) error) error {
	return a.onlineAs(ctx, c, nil, do)
}

// onlineAs is online with other options; change may be nil.
func (a *app) onlineAs(ctx context.Context, c *config.Config, change func(*dialOptions), do func(context.Context, endpoint) error) error {
	e, err := a.connect(ctx, c, change)
	if err != nil {
		return err
	}
	defer a.hangUp(ctx, e)
	return do(ctx, e)
}

// open goes online with an account. The password is found before anything is
// dialled, so that a person may take time to type it. change may be nil.
func (a *app) open(ctx context.Context, c *config.Config, account *config.Chosen, change func(*dialOptions)) (_ endpoint, err error) {
	o := dialOptions{Account: account, Trust: c.Trust, Priority: -1, Transports: c.Transports, KeepFor: c.Receive.KeepInterrupted, Report: a.print.Event, Log: a.log}
	if change != nil {
		change(&o)
	}
	if o.StateDir, err = a.stateDir(); err != nil {
		return nil, err
	}
	if err := a.claim("the certificates", account.TLSCAFile); err != nil {
		return nil, err
	}
	if o.Password == "" {
		if err := a.claimPassword(a.secrets(), account); err != nil {
			return nil, err
		}
	}
	if o.RootCAs, err = rootCAs(account.TLSCAFile); err != nil {
		return nil, err
	}
	if o.Password == "" {
		if o.Password, err = a.lookup(ctx, a.secrets(), account); err != nil {
			return nil, err
		}
	}
	fresh := account.Ephemeral && !exists(state.Path(o.StateDir, account.Addr))
	e, err := a.dial(ctx, o)
	if err == nil && fresh {
		a.print.Event(event.Warning{Text: "a new OMEMO device was made for " + account.Addr.String() +
			"; keep the state directory " + o.StateDir + ", or every run adds one more to the account"})
	}
	return e, err
}

// closeTimeout bounds the farewell to the server.
const closeTimeout = 5 * time.Second

// hangUp closes e, also when ctx has ended. An error of the farewell changes
// nothing that was done and is only logged.
func (a *app) hangUp(ctx context.Context, e endpoint) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		a.log.Info("close the session", "error", err)
	}
}

// rootCAs reads the certificates to trust; no file means the system's.
func rootCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, &config.Error{Msg: "tls_ca_file", Err: err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &config.Error{Msg: "tls_ca_file: there is no certificate (PEM) in " + file}
	}
	return pool, nil
}
