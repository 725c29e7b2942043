package transfer

import (
	"context"
	"net"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Account is what an [Endpoint] needs of an XMPP account online, in the words of
// [session.Session], which is the one of the program.
type Account interface {
	jingle.Port // IQ
	ibb.Port    // BeginIQ, BulkIQ
	omemo.PEP   // Publish, Items, DeleteNode

	// Start logs in, once; Close logs out and ends Done.
	Start(context.Context) error
	Close(context.Context) error
	Done() <-chan struct{}
	Err() error
	// Lost is closed when the stream that is up now is lost for good; WaitOnline
	// returns when one is up.
	Lost() <-chan struct{}
	WaitOnline(context.Context) error

	JID() jid.JID
	Mechanism() string
	Careful() bool
	Management() session.Management
	Link() *session.Link

	// Handlers are registered before Start, and called on one goroutine.
	HandleIQ(space string, f func(context.Context, stanza.IQ) (*xmltree.Element, error))
	HandleIQAsync(space string, f func(ctx context.Context, iq stanza.IQ, reply func(*xmltree.Element, error)))
	HandlePEP(node string, f func(ctx context.Context, from jid.JID, item *xmltree.Element))
	HandleMessage(space, local string, f func(context.Context, stanza.Message))
	Send(context.Context, stanza.Message) error

	// Appear sends the presence that Config.Hidden has kept back.
	Appear(context.Context) error
	Resources(bare jid.JID) []session.Resource
	PresenceChanged() <-chan struct{}
	SetFeatures(ctx context.Context, features []string) error
	DiscoInfo(ctx context.Context, of jid.JID, node string) (*session.DiscoInfo, error)

	Roster(context.Context) ([]session.RosterItem, error)
	RosterError() error
	Subscription(bare jid.JID) string
	SubscriptionRequests() []jid.JID
	ContactAt(domain string) bool

	// Dial, OverLoopback and Proxied say how connections are opened.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	OverLoopback() bool
	Proxied() bool
}
