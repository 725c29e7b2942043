package contact

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// Errors of [Roster]; use errors.Is.
var (
	// ErrNotAsked means that a contact has not asked to see us, and that the server keeps
	// no approval for when it does.
	ErrNotAsked = errors.New("has not asked to see us")
	// ErrNotListed means that an address is not on the list of contacts.
	ErrNotListed = errors.New("is not on the list of contacts")
)

// RosterAccount is what a [Roster] needs of an XMPP account online, in the words of
// [session.Session].
type RosterAccount interface {
	JID() jid.JID
	IQ(ctx context.Context, to jid.JID, typ stanza.IQType, payload *xmltree.Element) (*xmltree.Element, error)
	Roster(context.Context) ([]session.RosterItem, error)
	RefreshRoster(context.Context) error
	NameContact(ctx context.Context, of jid.JID, name string) error
	RemoveContact(ctx context.Context, of jid.JID) error

	Subscription(bare jid.JID) string
	SubscriptionRequests() []jid.JID
	PreApproves() bool
	Subscribe(ctx context.Context, to jid.JID) error
	Approve(ctx context.Context, from jid.JID) error
	Refuse(ctx context.Context, from jid.JID) error
}

// Entry is a contact on the account's list, or a stranger who asks to become one.
type Entry struct {
	JID          jid.JID
	Name         string // as the list has it, not cleaned
	Subscription string // none, to, from, both
	Asked        bool   // we asked and they have not answered
	Asks         bool   // they ask to see our presence
}

// Roster is the account's list of contacts and who sees whom (RFC 6121). A change that
// it makes has been handled by the server when the method returns.
type Roster struct{ Account RosterAccount }

// List returns the contacts and those who ask to become one. The server repeats
// unanswered requests right after our initial presence; the answer to a ping (XEP-0199)
// comes behind them.
func (r Roster) List(ctx context.Context) ([]Entry, error) {
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	list, err := r.Items(ctx)
	if err != nil {
		return nil, err
	}
	requests := r.Account.SubscriptionRequests()
	for i := range list {
		list[i].Asks = slices.Contains(requests, list[i].JID)
	}
	for _, j := range requests {
		if !slices.ContainsFunc(list, func(e Entry) bool { return e.JID == j }) {
			list = append(list, Entry{JID: j, Subscription: "none", Asks: true})
		}
	}
	return list, nil
}

// Items are the contacts of the list alone, as the login has brought it.
func (r Roster) Items(ctx context.Context) (list []Entry, err error) {
	items, err := r.Account.Roster(ctx)
	for _, it := range items {
		list = append(list, Entry{JID: it.JID, Name: it.Name, Subscription: it.Subscription, Asked: it.Ask})
	}
	return list, err
}

// Name gives a contact a name on the list.
func (r Roster) Name(ctx context.Context, of jid.JID, name string) error {
	return r.Account.NameContact(ctx, of, name)
}

// Subscribe asks to see the presence of a contact.
func (r Roster) Subscribe(ctx context.Context, j jid.JID) error {
	return r.settled(ctx, r.Account.Subscribe(ctx, j))
}

// Approve lets a contact see ours. Without error and sight it has not asked, and its
// request will be accepted when it comes. Whether it has asked is seen by what has come of
// the approval: ejabberd does not tell a client of negative priority who asks.
func (r Roster) Approve(ctx context.Context, j jid.JID) (sees bool, err error) {
	if err := r.settled(ctx, r.Account.Approve(ctx, j)); err != nil {
		return false, err
	}
	if err := r.Account.RefreshRoster(ctx); err != nil {
		return false, err
	}
	switch {
	case session.SeesUs(r.Account.Subscription(j)):
		return true, nil
	case r.Account.PreApproves():
		return false, nil
	}
	return false, fmt.Errorf("%s %w", j, ErrNotAsked)
}

// Remove takes a contact off the list, which ends both directions. Somebody who is not on
// the list yet but asks to be, or may ask, is refused.
func (r Roster) Remove(ctx context.Context, j jid.JID) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	items, err := r.Account.Roster(ctx)
	if err != nil {
		return err
	}
	listed := slices.ContainsFunc(items, func(it session.RosterItem) bool { return it.JID == j })
	asks := slices.Contains(r.Account.SubscriptionRequests(), j)
	// ejabberd does not tell a client of negative priority who asks, and takes a
	// request off its list without an answer. To refuse nothing does no harm.
	if asks || !listed {
		if err := r.Account.Refuse(ctx, j); err != nil {
			return err
		}
	}
	err = r.Account.RemoveContact(ctx, j)
	var refused *stanza.Error
	if errors.As(err, &refused) && refused.Condition == stanza.ItemNotFound {
		if asks {
			return nil
		}
		return fmt.Errorf("%s %w", j, ErrNotListed)
	}
	return err
}

// settle waits until the server has handled all that was sent to it, and we
// all that it had to say.
func (r Roster) settle(ctx context.Context) error {
	server, err := jid.Parse(r.Account.JID().Domain())
	if err != nil {
		return err
	}
	_, err = r.Account.IQ(ctx, server, stanza.Get, xmltree.New("urn:xmpp:ping", "ping"))
	var refused *stanza.Error
	if errors.As(err, &refused) { // an answer all the same
		return nil
	}
	return err
}

func (r Roster) settled(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return r.settle(ctx)
}
