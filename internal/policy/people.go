package policy

import (
	"context"
	"slices"

	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
)

// Account is what the policy needs of an account, in the words of [session.Session].
type Account interface {
	JID() jid.JID
	Subscription(bare jid.JID) string
	Roster(context.Context) ([]session.RosterItem, error)
}

// People are the contacts of an account, and whose keys it knows.
type People struct {
	Account Account
	Keys    *omemo.Account
}

// IsContact reports whether the contact may see us online; our own account may. It needs
// neither network nor state.
func (p People) IsContact(bare jid.JID) bool {
	return bare == p.Account.JID().Bare() || session.SeesUs(p.Account.Subscription(bare))
}

// seen are those who see us online, with ourselves.
func (p People) seen(ctx context.Context) ([]jid.JID, error) {
	items, err := p.Account.Roster(ctx)
	if err != nil {
		return nil, err
	}
	all := []jid.JID{p.Account.JID().Bare()}
	for _, it := range items {
		if session.SeesUs(it.Subscription) {
			all = append(all, it.JID)
		}
	}
	return all, nil
}

// Verified are those with a key that the user has verified by now.
func (p People) Verified(ctx context.Context) (map[jid.JID]bool, error) {
	devices, err := p.Keys.AllDevices(ctx)
	if err != nil {
		return nil, err
	}
	out := map[jid.JID]bool{}
	for _, d := range devices {
		if isVerified(d) {
			out[d.JID.Bare()] = true
		}
	}
	return out, nil
}

// hasVerified reports whether a device that the contact has now is verified.
func (p People) hasVerified(ctx context.Context, bare jid.JID) bool {
	devices, err := p.Keys.Devices(ctx, bare)
	return err == nil && slices.ContainsFunc(devices, isVerified)
}

func isVerified(d omemo.Device) bool { return d.Trust == omemo.Verified }
