package session

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"jetsend/internal/jid"
)

// LevelTrace is the level at which stanzas are logged, below debug. Passwords,
// proofs and file data in them are replaced.
const LevelTrace = slog.LevelDebug - 4

// OtherResource is between the resource that was wanted and what tells the one that was
// bound in its place from it.
const OtherResource = "."

// Config says which account to put online and how. Zero fields have the
// defaults given with them.
type Config struct {
	// JID is the account, bare or full; it must have a local part. A resource in it is ignored.
	JID jid.JID
	// Password is asked once, and only when the server has proved its identity.
	// The session keeps it for the logins to come.
	Password func(ctx context.Context) (string, error)
	// Resource is what to bind, at every login; empty lets the server choose. Where a
	// server says that it is in use, it is followed by OtherResource and more.
	Resource string

	// UserAgent is a UUID by which the server may know this client again (XEP-0388); empty
	// tells it none. It may end the session of a client with the same one (XEP-0386), so
	// that two that are to be online together with the same Resource may not share it.
	UserAgent string
	// Tokens keeps what the server gives to a UserAgent in the place of the password
	// (XEP-0484); nil asks for none.
	Tokens Tokens
	// ByPassword has the login prove the password, whatever token there is.
	ByPassword bool
	// Dialled is told when the server's identity is proved, before the login: OverLoopback is
	// known then. It must not block.
	Dialled func()
	// Known keeps what was learnt of the server and of contacts' clients; nil keeps nothing.
	Known Known
	// Careful has the login ask for one thing at a time, as Session.Careful told after an
	// earlier one.
	Careful bool

	// Server is host:port to dial instead of what DNS says. Ports 5223 and 443
	// mean TLS from the first byte, all others STARTTLS. The certificate is
	// checked against the domain of JID all the same.
	Server string
	// SOCKS5 is host:port of a proxy to dial through; see also Session.Dial.
	// Nothing is looked up outside of it, so without Server only the domain
	// itself is tried.
	SOCKS5 string
	// RootCAs are the authorities to trust; nil means those of the system.
	RootCAs *x509.CertPool
	// Dial opens TCP connections; nil means net.Dialer, which races IPv4 and IPv6.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// LookupSRV finds SRV records; nil means net.DefaultResolver.
	LookupSRV func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)

	// AllowPlain permits the PLAIN mechanism, inside TLS, where no SCRAM is offered.
	AllowPlain bool
	// BestMechanism is what Mechanism returned at the best login so far. A
	// server that offers less is refused unless AllowSASLDowngrade is set.
	BestMechanism      string
	AllowSASLDowngrade bool

	// Features are the disco features to advertise, beside those of this
	// package itself (disco#info, caps, ping).
	Features []string
	// Identity is the disco identity; its zero value means client/console "jetsend".
	Identity Identity
	// Priority is that of our presence. 0 means the default of -1, so that no
	// chat message is ever taken from a person's client; 0 itself cannot be had.
	Priority int8

	// Hidden keeps the initial presence back until Appear is called, so that nobody
	// sees us online before we are ready.
	Hidden bool

	// Visible, when set, tells who may learn that we are there. The others' pings and
	// questions about features are answered as a server does it for somebody
	// who is offline. It must not block.
	Visible func(from jid.JID) bool

	// Reconnect has the session survive its streams. When one is lost it is
	// resumed (XEP-0198) or, failing that, replaced by a new login, as often as
	// it takes: after 0.5 s to 60 s, at random and longer each time. These end
	// the session all the same: Close, a login refused (*AuthError), and a
	// *StreamError that says that the domain is not served here or that another
	// program has taken our resource, if it came from who has proved to be the
	// server. The first login, that of Start, is never tried again. Without
	// Reconnect the session ends with its first stream.
	Reconnect bool
	// Quick makes the pauses before it does so short. For tests.
	Quick bool
	// State is told of every change of the connection, in order and from one
	// goroutine. It must not block: nobody watches the connection meanwhile.
	// It must not call Close. The first Up comes before Start has returned;
	// the end of the session is told by Done only.
	State func(State)

	// Log gets what happens; nil discards it. Stanzas are logged at LevelTrace.
	Log *slog.Logger
}

// Known keeps what was learnt, by name, for the logins to come. Its methods may take as
// long as a file does; what they cannot do is nobody's concern.
type Known interface {
	// Get returns what is known, if it is no older than age.
	Get(ctx context.Context, name string, age time.Duration) (value []byte, ok bool)
	Put(ctx context.Context, name string, value []byte)
}

// complete checks cfg and fills in the defaults.
func (cfg Config) complete() (Config, error) {
	if cfg.JID.Local() == "" {
		return cfg, errors.New("account address without a local part")
	}
	if cfg.Password == nil {
		return cfg, errors.New("no source of the password")
	}
	cfg.JID = cfg.JID.Bare()
	cfg.Features = slices.Clone(cfg.Features)
	if cfg.Identity == (Identity{}) {
		cfg.Identity = Identity{Category: "client", Type: "console", Name: "jetsend"}
	}
	if cfg.Priority == 0 {
		cfg.Priority = -1
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.LookupSRV == nil {
		cfg.LookupSRV = net.DefaultResolver.LookupSRV
	}
	return cfg, nil
}
