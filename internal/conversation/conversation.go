package conversation

import (
	"context"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/route"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// Conversation is one Jingle session about one transfer, in one dialect, and what its
// sealed elements are bound to. Either end may be the one that sends the file, and
// either one may have opened the session.
//
// Its steps run one after the other, each as a child of [Conversation.Step], which alone
// hears what the session says and alone ends the session's context.
type Conversation struct {
	world World
	Head  event.Head
	// Session is nil until the peer has our offer.
	Session *jingle.Session
	// Dialect is nil before the offer of a contact is read. It is set between two steps.
	Dialect dialect.Dialect
	// Devices are those of the other end that have the secret.
	Devices []omemo.Device

	// Route looks for the path, Remote is the peer's transport, and Path stands once it
	// was found.
	Route   *route.Route
	Remote  *xmltree.Element
	Path    *route.Path
	early   []jingle.Event // about the path, before it is looked for
	looking bool           // for the path
	// Found is called when the path stands, or will not, and Leave when the session is
	// over; both may be nil.
	Found, Leave func()

	// Agreed is the contact's accept of our offer, and Prefix the SHA-256, in hex, of what
	// the receiver has, as that says.
	Agreed jingle.Content
	Prefix string

	// Context is that of the session: what ended it is its cause.
	Context context.Context
	cancel  context.CancelCauseFunc // called by Step
	// Wake says that the actor has been told something, which Woken looks at: an error
	// ends the session. Both are nil for an actor that is told nothing.
	Wake  <-chan struct{}
	Woken func() error
	// Lost is closed when the stream to the server is lost that the session was opened on.
	Lost <-chan struct{}

	// Of Step.
	accepted chan jingle.Content
	words    mailbox
	ended    bool
	reason   jingle.Reason // why it ended
	byPeer   bool          // and by whom
}

// New is a conversation that has no session yet. life is the context of its actor.
func New(life context.Context, w World, head event.Head) *Conversation {
	c := &Conversation{
		world: w, Head: head,
		accepted: make(chan jingle.Content, 1), words: mailbox{filled: make(chan struct{}, 1)},
	}
	c.Context, c.cancel = context.WithCancelCause(life)
	return c
}

// Withdrawn is the peer's end of the session as an error; nil when it has not ended it.
func (c *Conversation) Withdrawn() error {
	c.HearAll()
	if c.ended && c.byPeer {
		return c.endError(false)
	}
	return nil
}

// Close lets go of the path and wipes the secret. A word that is still to be said
// is said before: it may be sealed.
func (c *Conversation) Close() {
	if c.Path != nil {
		_ = c.Path.Close()
	}
	if c.Route != nil {
		c.Route.Close()
	}
	if c.Dialect != nil {
		c.Dialect.Secret().Wipe()
	}
	if c.Found != nil {
		c.Found()
	}
	if c.Leave != nil {
		c.Leave()
	}
	c.cancel(nil)
}

// Connect finds the path.
func (c *Conversation) Connect() error {
	if c.Found != nil {
		defer c.Found()
	}
	for _, ev := range c.early {
		c.Route.Hear(ev)
	}
	c.early, c.looking = nil, true
	defer func() { c.looking = false }()
	return c.Step(Needs{Server: true}, func(ctx context.Context) (err error) {
		c.Path, err = c.Route.Connect(ctx, c.Session, c.Remote)
		return err
	})
}

// EndStream ends our half of the path after the tag. A receiver that counts
// bytes may be done, and gone, before that: then what it said counts. But
// in-band nothing has been sent before its blocks are acknowledged, and a client
// that seals no receipt must not get away with saying success before: it has
// route.LateAcks to acknowledge them, which is when ctx ends.
func (c *Conversation) EndStream(ctx context.Context) error {
	c.Path.BeforeEnd(c.Session.Done())
	stop := context.AfterFunc(ctx, func() { _ = c.Path.Close() }) // wakes an in-band wait
	defer stop()
	_ = c.Path.SetWriteDeadline(time.Now().Add(stream.Idle)) // for what is still on its way
	err := c.Path.CloseWrite()
	if err == nil {
		return nil
	}
	if c.Path.Transport != route.IBB || c.Dialect.Form().Seals() {
		select {
		case <-c.Session.Done():
			return nil
		default:
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Goodbye leaves the end of the session to the receiver, for a while.
func (c *Conversation) Goodbye() {
	timer := time.NewTimer(c.world.Timing.Goodbye)
	defer timer.Stop()
	select {
	case <-c.Session.Done():
	case <-c.world.Account.Done():
	case <-timer.C:
		_ = c.Session.Terminate(context.Background(), jingle.Reason{Condition: jingle.Success})
	}
}
