// Package contact finds who can take a file.
//
// A contact has clients, one, none or many of them online, of which some take encrypted
// files. The package asks them what they take (XEP-0030), waits for one that does, keeps
// a contact who has used our profile from silently getting less, and says what to do
// where nobody is found. It knows the account online by the few methods of [Account] and
// keeps no state but the keys that have used our profile.
package contact

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
)

// Account is what is needed of an XMPP account online, in the words of
// [session.Session].
type Account interface {
	JID() jid.JID
	// Appear sends our presence, if that was kept back: nobody is seen before.
	Appear(context.Context) error
	// Resources are those of a bare address that are online; PresenceChanged is closed
	// at their next change.
	Resources(bare jid.JID) []session.Resource
	PresenceChanged() <-chan struct{}
	DiscoInfo(ctx context.Context, of jid.JID, node string) (*session.DiscoInfo, error)
	Roster(context.Context) ([]session.RosterItem, error)
	SubscriptionRequests() []jid.JID
	// Done is closed when the account is offline for good.
	Done() <-chan struct{}
}

// Keys are the OMEMO devices that are known of a contact; *omemo.Account has them.
type Keys interface {
	Devices(ctx context.Context, of jid.JID) ([]omemo.Device, error)
}

// Finder finds the clients of contacts that can take a file. It has no state of its own;
// all fields are needed.
type Finder struct {
	Account Account
	Keys    Keys
	// DB is the state of the account, with [Schema] and [SchemaSets] in it.
	DB *sql.DB
	// Resource is the one of the receiver that shares our OMEMO device, which is never
	// found: it cannot open its own envelopes.
	Resource string
	// Report gets [event.Waiting] and [event.Warning].
	Report func(event.Event)
	Log    *slog.Logger
}

// Options say who is looked for, and for what. They are read once.
type Options struct {
	To      jid.JID // bare, or full: that client alone
	Wait    time.Duration
	Patient bool // wait also when all that is online cannot take the files
	// Encryption bounds the forms.
	Encryption dialect.Choice
	// Cipher is the one that the file has to be encrypted with; "": what the form has.
	Cipher string
	// HiddenName and VerifiedReceipt refuse clients that cannot do without showing the
	// name to the servers, or cannot prove that the file arrived.
	HiddenName, VerifiedReceipt bool
	// Path is that of the only file, for hints; "" when there are several or none.
	Path string
}

// Own reports whether an address is that of our account: its other devices are meant.
func (f *Finder) Own(to jid.JID) bool { return to.Bare() == f.Account.JID().Bare() }
