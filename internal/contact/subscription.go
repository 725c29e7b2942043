package contact

import (
	"context"
	"slices"

	"jetsend/internal/clean"
	"jetsend/internal/jid"
)

// Subscription is who sees whom online (RFC 6121, section 3).
type Subscription struct {
	Subscription string // none, to, from, both
	Asked        bool   // we asked and they have not answered
	Asks         bool   // they ask to see us
}

// Subscription looks a contact up on the account's list.
func (f *Finder) Subscription(ctx context.Context, bare jid.JID) (Subscription, error) {
	s := Subscription{Subscription: "none", Asks: slices.Contains(f.Account.SubscriptionRequests(), bare)}
	items, err := f.Account.Roster(ctx)
	for _, it := range items {
		if it.JID == bare {
			s.Subscription, s.Asked = clean.Text(it.Subscription), it.Ask
		}
	}
	return s, err
}

// Sees reports whether we are told when the contact is online.
func (s Subscription) Sees() bool { return s.Subscription == "both" || s.Subscription == "to" }
