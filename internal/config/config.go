// Package config reads jetsend's configuration: one YAML file, laid under the
// flags of a command and over the built-in defaults, checked key by key, and
// handed on as a plain validated struct. It also finds the password of an
// account (see [Secrets]) and writes accounts into the file (see [SetAccount]).
//
// The environment is never read here: the caller passes what it found.
package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"jetsend/internal/jid"
)

// Config is the whole configuration after flags, file and defaults have been
// merged and checked. It is not changed after [Load]. Names of accounts and
// contacts are in lower case.
type Config struct {
	Accounts       map[string]Account `mapstructure:"accounts"`
	DefaultAccount string             `mapstructure:"default_account"`
	// Contacts are short names for addresses, bare or full.
	Contacts map[string]string `mapstructure:"contacts" check:"jid"`
	Send     Send              `mapstructure:"send"`
	Receive  Receive           `mapstructure:"receive"`
	// Trust is blind (trust before verification) or verified.
	Trust      string     `mapstructure:"trust" choice:"blind verified"`
	Transports Transports `mapstructure:"transports"`

	// Learned finds a short name that Contacts has not; nil finds none.
	Learned func(name string) (jid.JID, bool) `mapstructure:"-"`

	// File is the file that was read, or would be written by login.
	File string `mapstructure:"-"`
	// Found reports whether File exists.
	Found bool `mapstructure:"-"`
}

// Account says how one XMPP account logs in. At most one of Password,
// PasswordFile, PasswordCommand and Keyring is set.
type Account struct {
	JID             string `mapstructure:"jid" check:"bare"`
	Password        string `mapstructure:"password"`
	PasswordFile    string `mapstructure:"password_file" check:"input"`
	PasswordCommand string `mapstructure:"password_command"`
	Keyring         bool   `mapstructure:"keyring"`
	// Server is host:port, used instead of the SRV records of the domain.
	Server string `mapstructure:"server" check:"hostport"`
	// TLSCAFile holds the certificates (PEM) that are trusted instead of the
	// system's.
	TLSCAFile string `mapstructure:"tls_ca_file" check:"input"`
	// SOCKS5 is host:port of a proxy that everything goes through.
	SOCKS5             string `mapstructure:"socks5" check:"hostport"`
	AllowPlain         bool   `mapstructure:"allow_plain"`
	AllowSASLDowngrade bool   `mapstructure:"allow_sasl_downgrade"`
}

// Send holds the choices of `jetsend send`, named like its flags.
type Send struct {
	Wait time.Duration `mapstructure:"wait"`
	// AnswerTimeout is nil when neither flag nor file gives it; zero waits for
	// ever.
	AnswerTimeout *time.Duration `mapstructure:"answer_timeout"`
	Cipher        string         `mapstructure:"cipher" choice:"auto aes-256-gcm aes-128-gcm"`
	Encryption    string         `mapstructure:"encryption" choice:"auto jet jet-draft encrypted-file"`
	// RequireHiddenName and RequireVerifiedReceipt refuse clients without them.
	RequireHiddenName      bool   `mapstructure:"require_hidden_name"`
	RequireVerifiedReceipt bool   `mapstructure:"require_verified_receipt"`
	NoDirect               bool   `mapstructure:"no_direct"`
	LimitRate              Rate   `mapstructure:"limit_rate"`
	Name                   string `mapstructure:"name"`
	Description            string `mapstructure:"description"`
	Checksum               bool   `mapstructure:"checksum"`
	// AllOrNothing lets nothing of a directory arrive unless all of it does.
	AllOrNothing bool `mapstructure:"all_or_nothing"`
	// Exclude are the patterns, in the syntax of gitignore, of entries of a directory that
	// are left out.
	Exclude []string `mapstructure:"exclude"`
	// Retries is how many attempts in a row may bring nothing before the run
	// gives up, RetryFor how long it goes on trying after an interruption.
	Retries  int           `mapstructure:"retries" check:"count"`
	RetryFor time.Duration `mapstructure:"retry_for"`
	// MaxSpool bounds what is read from standard input; zero is no limit.
	MaxSpool Size `mapstructure:"max_spool"`
	// NoResume begins anew even when the same send was interrupted.
	NoResume bool `mapstructure:"no_resume"`
	// ViaDaemon has the running receive of the account send, where it can.
	ViaDaemon bool `mapstructure:"via_daemon"`
	// OnComplete is the executable that is run for each file and directory at its end.
	OnComplete string `mapstructure:"on_complete" check:"path"`
}

// Receive holds the choices of `jetsend receive`, named like its flags.
type Receive struct {
	Dir string `mapstructure:"dir" check:"path"`
	// Accept is empty when neither flag nor file gives it.
	Accept     string        `mapstructure:"accept" choice:"ask contacts verified all"`
	From       []string      `mapstructure:"from"`
	MaxSize    Size          `mapstructure:"max_size"`
	MinFree    Size          `mapstructure:"min_free"`
	OnConflict string        `mapstructure:"on_conflict" choice:"rename skip overwrite update"`
	LimitRate  Rate          `mapstructure:"limit_rate"`
	Drain      time.Duration `mapstructure:"drain"`
	Once       bool          `mapstructure:"once"`
	NoDirect   bool          `mapstructure:"no_direct"`
	// PerSender puts the files of each contact into a folder of their own.
	PerSender bool `mapstructure:"per_sender"`
	// Exec is the executable that is run for each file that has arrived.
	Exec string `mapstructure:"exec" check:"path"`
	// Notify tells of what arrives on the desktop, where there is one.
	Notify bool `mapstructure:"notify"`
	// Retries and RetryFor are those of [Send].
	Retries  int           `mapstructure:"retries" check:"count"`
	RetryFor time.Duration `mapstructure:"retry_for"`
	// NoServe refuses contacts who ask for the rest of a file that was offered
	// to them.
	NoServe bool `mapstructure:"no_serve"`
	// AutoResume is how long after its last byte receive asks for the rest of an
	// interrupted transfer by itself; zero never asks.
	AutoResume time.Duration `mapstructure:"auto_resume"`
	// KeepInterrupted is how long interrupted transfers and their partial files
	// are kept after the last byte; zero keeps them for ever.
	KeepInterrupted time.Duration `mapstructure:"keep_interrupted"`
	// Prime lets clients that begin no OMEMO session for a file send to us.
	Prime bool `mapstructure:"prime"`
	// Priority is the presence priority; negative values never take a chat
	// message away from the account's other clients (RFC 6121, section 4.7.2.3).
	Priority int `mapstructure:"priority"`
}

// Transports bounds the paths that the bytes of a file may take.
type Transports struct {
	// Order are the allowed transports, s5b and ibb, the preferred one first.
	Order []string `mapstructure:"order" choice:"s5b ibb"`
	// STUN are who says by which address this machine is seen, host:port, before those that
	// the server names.
	STUN []string `mapstructure:"stun"`
	S5B  S5B      `mapstructure:"s5b"`
	IBB  IBB      `mapstructure:"ibb"`
}

// S5B is about SOCKS5 bytestreams (XEP-0065, XEP-0260).
type S5B struct {
	ListenPorts []int    `mapstructure:"listen_ports"`
	Advertise   []string `mapstructure:"advertise" check:"address"`
	Interfaces  []string `mapstructure:"interfaces"`
	// Proxies are SOCKS5 proxies to offer besides those of our own server:
	// addresses (proxy.example.org), or address=host:port.
	Proxies []string `mapstructure:"proxies"`
	// PortMapping asks the router to lead a port to us while a file is under way.
	PortMapping bool `mapstructure:"port_mapping"`
}

// IBB is about in-band bytestreams (XEP-0047, XEP-0261).
type IBB struct {
	// BlockSize is what we offer, in bytes; 0: what suits the server and the contact.
	BlockSize int `mapstructure:"block_size"`
}

// Default returns the built-in configuration. It is the one place where a
// default is written; flags show these values in their help.
func Default() Config {
	return Config{
		Trust:      "blind",
		Send:       Send{Wait: 10 * time.Second, Cipher: "auto", Encryption: "auto", Retries: 5, RetryFor: 10 * time.Minute},
		Transports: Transports{Order: []string{"s5b", "ibb"}, S5B: S5B{PortMapping: true}},
		Receive: Receive{
			Dir: ".", OnConflict: "rename", Drain: 10 * time.Second, Notify: true, Prime: true, Priority: -1,
			Retries: 5, RetryFor: 10 * time.Minute, AutoResume: 7 * day, KeepInterrupted: 30 * day,
		},
	}
}

// Error is a configuration that cannot be used. Its text names the file and,
// when known, the line.
type Error struct {
	File  string
	Line  int // 0: unknown
	Msg   string
	Hints []string // exact commands or the one thing to change
	Err   error    // may be nil

	noAccount bool // see [ErrNoAccount]
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// ErrNoAccount means that no account is configured and none is named. Use errors.Is.
var ErrNoAccount = errors.New("no account")

// Is reports that the error is [ErrNoAccount] where it says so.
func (e *Error) Is(target error) bool { return target == ErrNoAccount && e.noAccount }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// validate checks what concerns several keys at once; single values have been
// checked by the walk over the file and by the flags.
func (c *Config) validate() error {
	for _, check := range []func() error{c.validateAccounts, c.validateContacts, c.validateReceive, c.validateTransports} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// wrong is an error of the file.
func (c *Config) wrong(format string, args ...any) error {
	return &Error{File: c.File, Msg: fmt.Sprintf(format, args...)}
}

func (c *Config) validateAccounts() error {
	for name, a := range c.Accounts {
		if a.JID == "" {
			return c.wrong("account %s has no jid", name)
		}
		if n := a.sources(); n > 1 {
			return c.wrong("account %s has %d of password, password_file, password_command and keyring; one is enough", name, n)
		}
	}
	if _, ok := c.Accounts[strings.ToLower(c.DefaultAccount)]; !ok && c.DefaultAccount != "" {
		return c.wrong("default_account %s is not among the accounts", c.DefaultAccount)
	}
	return nil
}

func (c *Config) validateContacts() error {
	for name := range c.Contacts {
		if strings.ContainsAny(name, "@/") {
			return c.wrong("contact name %q: a name has neither @ nor /", name)
		}
	}
	return nil
}

func (c *Config) validateReceive() error {
	if c.Receive.Dir == "" {
		return &Error{File: c.File, Msg: "receive.dir is empty", Hints: []string{"name a directory, or leave the key out for the current one"}}
	}
	// A session takes 0 as "not said"; nobody needs it beside -1 and 1.
	if p := c.Receive.Priority; p < -128 || p > 127 || p == 0 {
		return c.wrong("receive.priority %d is not between -128 and 127, without 0", p)
	}
	return nil
}

func (c *Config) validateTransports() error {
	if o := c.Transports.Order; len(o) == 0 || len(o) > 2 || len(o) == 2 && o[0] == o[1] ||
		slices.ContainsFunc(o, func(t string) bool { return t != "s5b" && t != "ibb" }) {
		return c.wrong("transports.order %q: name s5b, ibb or both, each once", strings.Join(o, ","))
	}
	if n := c.Transports.IBB.BlockSize; n != 0 && (n < 256 || n > 65535) {
		return c.wrong("transports.ibb.block_size %d is not between 256 and 65535, and not 0", n)
	}
	return c.validatePlaces()
}

// validatePlaces checks ports, and hosts with ports.
func (c *Config) validatePlaces() error {
	for _, port := range c.Transports.S5B.ListenPorts {
		if port < 1 || port > 65535 {
			return c.wrong("transports.s5b.listen_ports: %d is not a port", port)
		}
	}
	for _, at := range c.Transports.STUN {
		if host, port, err := net.SplitHostPort(at); err != nil || host == "" || !isPort(port) {
			return c.wrong("transports.stun: %q is not a host and port", at)
		}
	}
	return nil
}

// isPort reports whether a text is the number of a TCP port.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// HasPassword reports whether the account names a place for its password.
func (a Account) HasPassword() bool { return a.sources() > 0 }

// sources counts the places that are named for the password.
func (a Account) sources() int {
	n := 0
	for _, set := range []bool{a.Password != "", a.PasswordFile != "", a.PasswordCommand != "", a.Keyring} {
		if set {
			n++
		}
	}
	return n
}

// Configured reports whether a name is one of contacts: in the file.
func (c *Config) Configured(name string) bool {
	_, ok := c.Contacts[strings.ToLower(name)]
	return ok
}

// Address returns the JID that a name of contacts: stands for, or a learned one.
func (c *Config) Address(name string) (jid.JID, bool) {
	text, ok := c.Contacts[strings.ToLower(name)]
	switch {
	case ok:
		j, err := jid.ParseTyped(text)
		return j, err == nil
	case c.Learned == nil:
		return jid.JID{}, false
	}
	return c.Learned(name)
}
