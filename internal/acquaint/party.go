package acquaint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"jetsend/internal/clean"
	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/percontact"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Account is the account online, in the words of [session.Session].
type Account interface {
	JID() jid.JID
	BeginIQ(ctx context.Context, to jid.JID, payload *xmltree.Element, answered func(error)) (forget func(), err error)
	// HandleIQ and HandlePresence are for handlers that must not block.
	HandleIQ(space string, f func(context.Context, stanza.IQ) (*xmltree.Element, error))
	HandlePresence(f func(context.Context, stanza.Presence))

	Approve(ctx context.Context, who jid.JID) error
	Subscribe(ctx context.Context, who jid.JID) error
	SubscribeWith(ctx context.Context, who jid.JID, children ...*xmltree.Element) error
	Greet(ctx context.Context, who jid.JID, children ...*xmltree.Element) error
	Resources(bare jid.JID) []session.Resource
	RefreshRoster(context.Context) error
	Subscription(bare jid.JID) string
	// Done is closed when the account is offline for good.
	Done() <-chan struct{}
	Err() error
}

// Keys are the OMEMO keys that are known.
type Keys interface {
	// HasVerified reports whether a key of a contact is verified, in a transaction.
	HasVerified(ctx context.Context, tx *sql.Tx, of jid.JID) (bool, error)
	// Vouch verifies the keys of devices of a contact in a transaction, but for those that the user
	// has decided about.
	Vouch(ctx context.Context, tx *sql.Tx, of jid.JID, devices []omemo.Device) error
	// Devices are those of a contact that are known.
	Devices(ctx context.Context, of jid.JID) ([]omemo.Device, error)
	// Vouched are the devices of our account whose keys we stand for, this one first.
	Vouched(context.Context) ([]omemo.Device, error)
}

// Config is what a [Party] stands on.
type Config struct {
	Account Account
	Keys    Keys
	Book    *Book
	// Report and Log are not nil.
	Report func(event.Event)
	Log    *slog.Logger
}

// What strangers can have us do: so many looks into the book in a row, and as many a minute,
// of each address, and of all. What waits is bounded too.
const (
	looksEach  = 6
	looksAll   = 60
	maxWaiting = 32
	maxKnown   = 1000 // addresses with an account of their own
)

// Party is one account online, which lets in who redeems its invitations, and redeems those
// that it has taken. One goroutine at a time calls Run or Redeem, and does it all.
type Party struct {
	Config
	waiting chan coming
	looks   percontact.Table[rate.Limiter]
	all     *rate.Limiter
	strange *rate.Limiter // what is told of invitations that are unknown here

	mu   sync.Mutex
	said map[[invite.IDSize]byte]*saying // of each link that is not answered
}

// saying is what we say of a link that was taken.
type saying struct {
	taken  *Taken
	redeem *invite.Redeem
	asked  time.Time // when the issuer was last asked to be seen
	due    time.Time // when to say it again
}

// coming is what somebody has said: one of the three.
type coming struct {
	from    jid.JID // bare where the carrier shows no more
	redeem  *invite.Redeem
	confirm *invite.Confirm
	token   *[invite.IDSize]byte
}

// New listens from now on, and answers once it runs.
func New(c Config) *Party {
	p := &Party{
		Config: c, waiting: make(chan coming, maxWaiting),
		all: rate.NewLimiter(rate.Every(time.Minute/looksAll), looksAll), strange: rate.NewLimiter(rate.Every(time.Hour), 3),
		said: map[[invite.IDSize]byte]*saying{},
	}
	c.Account.HandlePresence(p.presence)
	c.Account.HandleIQ(invite.NS, p.iq)
	return p
}

// presence is called for every presence. A subscription may carry a redemption or a token, a
// greeting a redemption.
func (p *Party) presence(_ context.Context, s stanza.Presence) {
	if s.Type != "" && s.Type != "subscribe" {
		return
	}
	el := &xmltree.Element{Children: s.Children}
	if r := el.Child(invite.NS, "redeem"); r != nil {
		p.hear(s.From, r)
	} else if token := invite.ParseToken(el); token != nil && s.Type == "subscribe" {
		p.enqueue(coming{from: s.From.Bare(), token: token})
	}
}

// iq is called for what comes alone. The answer is that of a client that does not know the
// name space, whatever was said: what it is worth, nobody learns from it.
func (p *Party) iq(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) {
	if iq.Type == stanza.Set {
		p.hear(iq.From, iq.Payload)
	}
	return nil, stanza.NewError(stanza.ServiceUnavailable)
}

// saying is what we say of a link; nil where it is answered, or was never taken.
func (p *Party) saying(id [invite.IDSize]byte) *saying {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said[id]
}

// hear takes a message of the protocol.
func (p *Party) hear(from jid.JID, e *xmltree.Element) {
	c := coming{from: from}
	var err error
	if e.Is(invite.NS, "confirm") {
		if c.confirm, err = invite.ParseConfirm(e); err == nil && p.saying(c.confirm.ID) == nil {
			return // nobody has asked
		}
	} else {
		c.redeem, err = invite.ParseRedeem(e, from)
	}
	if err != nil {
		p.Log.Debug("invitation", "from", from, "error", err)
		return
	}
	p.enqueue(c)
}

// enqueue leaves it to Run, if there is room and they have not said too much.
func (p *Party) enqueue(c coming) {
	fresh := func() *rate.Limiter { return rate.NewLimiter(rate.Every(time.Minute/looksEach), looksEach) }
	if !p.looks.Account(c.from.Bare(), maxKnown, fresh, full).Allow() || !p.all.Allow() {
		return
	}
	select {
	case p.waiting <- c:
	default:
	}
}

// full reports whether a limiter is as good as a new one.
func full(l *rate.Limiter) bool { return l.Tokens() >= looksEach }

// Run answers, and says what was taken, until ctx ends. What it is at then is finished when the
// same is said again.
func (p *Party) Run(ctx context.Context) {
	for ctx.Err() == nil {
		p.sayAll(ctx)
		if err := p.answerFor(ctx, sayLater); err != nil {
			return
		}
	}
}

// answerFor answers for a while. The error is why nothing is to be answered any more.
func (p *Party) answerFor(ctx context.Context, d time.Duration) error {
	for over := time.After(d); ; {
		select {
		case c := <-p.waiting:
			p.logged(ctx, c, p.answer(ctx, c))
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.Account.Done():
			return p.Account.Err()
		}
	}
}

// lookAgain is how often Await looks whether another process has answered.
const lookAgain = time.Second

// Await answers until an invitation is not open any more, or ctx ends, and returns it as it is
// then.
func (p *Party) Await(ctx context.Context, id [invite.IDSize]byte) (*Invitation, error) {
	for {
		i, err := p.Book.Get(context.WithoutCancel(ctx), id)
		if err != nil || i.verdict(p.Book.now()) != invite.Accepted {
			return i, err
		}
		if err := p.answerFor(ctx, lookAgain); err != nil {
			return i, err
		}
	}
}

func (p *Party) logged(ctx context.Context, c coming, err error) {
	var verdict *VerdictError
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &verdict):
		p.Report(event.Warning{Text: clean.Error(err)})
	case errors.Is(err, invite.ErrProof):
		p.Log.Debug("invitation", "from", c.from, "error", err)
	default:
		p.Log.Warn("invitation", "from", c.from, "error", clean.Error(err))
	}
}

// answer does what is to be done about what somebody has said.
func (p *Party) answer(ctx context.Context, c coming) error {
	switch {
	case c.redeem != nil:
		return p.welcome(ctx, c)
	case c.confirm != nil:
		return p.confirmed(ctx, c)
	}
	return p.letIn(ctx, c)
}

// nameDigits is how much of an id is shown.
const nameDigits = 8

// Name is what people call an invitation.
func Name(id [invite.IDSize]byte) string { return fmt.Sprintf("%x", id[:])[:nameDigits] }

// Names are the devices of our account that an invitation names.
func Names(ctx context.Context, keys Keys) (invite.Names, error) {
	all, err := keys.Vouched(ctx)
	if err != nil || len(all) == 0 {
		return nil, errors.Join(err, errNoDevice)
	}
	var named []invite.Device
	for _, d := range all {
		n := invite.Device{ID: d.ID}
		copy(n.Key[:], d.IdentityKey[1:]) // behind the type, see [omemo.Device]
		named = append(named, n)
	}
	return invite.Named(named[0], named[1:]...), nil
}

var errNoDevice = errors.New("this account has no device")

// devicesOf are devices as package omemo knows them.
func devicesOf(n invite.Names) (all []omemo.Device) {
	for _, d := range n {
		all = append(all, omemo.Named(d.ID, d.Key))
	}
	return all
}
