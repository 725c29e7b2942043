package transfer

import (
	"context"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/goods"
	"jetsend/internal/jid"
	"jetsend/internal/journal"
	"jetsend/internal/outset"
	"jetsend/internal/route"
	"jetsend/internal/source"
)

// This file is what package doctor sees of an endpoint: what Send decides by, without an
// offer.

// Config is the configuration of the endpoint; Report and Log are not nil.
func (e *Endpoint) Config() Config {
	c := e.cfg
	c.Log = e.log
	return c
}

// Account is the account online.
func (e *Endpoint) Account() Account { return e.sess }

// Contacts finds who can take a file.
func (e *Endpoint) Contacts() *contact.Finder { return e.contacts() }

// Look opens what a Send with opt would send, chooses the client that would get it, and
// reports what of it will not arrive as it is here. The caller closes it. An error is the
// *Failure that the Send would end with.
func (e *Endpoint) Look(ctx context.Context, opt SendOptions) (*goods.Goods, *contact.Peer, error) {
	if err := goods.CheckTexts(opt.Description, opt.Files); err != nil {
		return nil, nil, err
	}
	opener := e.opener()
	opener.Sets.Look = true
	g, err := opener.Open(ctx, opt.order())
	if err != nil {
		return nil, nil, err
	}
	peers, err := e.chosen(ctx, opt, g.Files())
	if err == nil {
		peers, err = e.suit(ctx, opt, &g, peers)
	}
	if err != nil {
		g.Close()
		return nil, nil, e.Ended(ctx, err)
	}
	return g, peers[0], nil
}

// Path is the route that an offer to a client would have: what is offered, and where this
// machine could be reached for it. It is closed by who asked.
func (e *Endpoint) Path(ctx context.Context, to *contact.Peer, opt route.Options) (*route.Route, error) {
	return e.offerRoute(ctx, to, opt)
}

// Routes finds the paths of this account.
func (e *Endpoint) Routes() *route.Finder { return e.routes }

// Earlier is the interrupted transfer that a Send of src in our profile would go on with;
// journal.ErrUnknown: none.
func (e *Endpoint) Earlier(ctx context.Context, opt SendOptions, src *source.Source) (journal.Row, error) {
	o := e.offering(opt, src, nil)
	o.form = dialect.FormJetsend
	return e.journal.Find(ctx, o.rowOf())
}

// EarlierSet is Earlier for a set, with what is known of its arguments.
func (e *Endpoint) EarlierSet(ctx context.Context, opt SendOptions, g *goods.Goods) (journal.Row, []journal.Argument, error) {
	row, err := e.journal.FindSet(ctx, opt.To.Bare(), g.Set.Entries())
	if err != nil {
		return row, nil, err
	}
	all, err := e.journal.ArgumentsOf(ctx, row.Key)
	return row, all, err
}

// Since is what has become of a folder of a set since it was last sent whole to the contact that
// it was listed for; nil when that is not known.
func (e *Endpoint) Since(s *outset.Set, number int) (*outset.Since, error) {
	return s.Since(e.sentDir(), number)
}

// Interrupted are the interrupted transfers with a contact, the oldest first.
func (e *Endpoint) Interrupted(ctx context.Context, with jid.JID) ([]journal.Row, error) {
	return e.journal.List(ctx, journal.Filter{Peer: with.Bare(), States: []journal.State{journal.Interrupted}})
}
