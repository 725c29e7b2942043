package contact

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"jetsend/internal/dialect"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/session"
)

// Others are the resources of a contact that are online, the best first. Of our own
// account they are without the receiver of this very device, which cannot open its
// own envelopes.
func (f *Finder) Others(of jid.JID) []session.Resource {
	all := slices.DeleteFunc(f.Account.Resources(of), func(r session.Resource) bool {
		return f.Own(r.JID) && sameReceiver(r.JID.Resource(), f.Resource)
	})
	return replacedLast(all)
}

// sameReceiver reports whether resource is the one of a receiver, or was taken in the
// place of that.
func sameReceiver(resource, of string) bool {
	return resource == of || of != "" && strings.HasPrefix(resource, of+session.OtherResource)
}

// replacedLast puts the resources behind the others in whose place another one was
// taken: what had them was killed, and its server has not noticed.
func replacedLast(all []session.Resource) []session.Resource {
	replaced := func(r session.Resource) bool {
		return slices.ContainsFunc(all, func(o session.Resource) bool {
			return o.JID != r.JID && o.JID.Bare() == r.JID.Bare() && sameReceiver(o.JID.Resource(), r.JID.Resource())
		})
	}
	var first, last []session.Resource
	for _, r := range all {
		if replaced(r) {
			last = append(last, r)
		} else {
			first = append(first, r)
		}
	}
	return append(first, last...)
}

// WhileThere is a context that ends with fault.ErrNotThere once the receiver that a client
// is has come back with another resource, as after it was killed: nobody has to wait for
// the client any more. stop ends the watch.
func (f *Finder) WhileThere(ctx context.Context, p *Peer) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			changed := f.Account.PresenceChanged()
			if p.ReplacedAmong(f.Account.Resources(p.JID.Bare())) {
				cancel(fault.ErrNotThere)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-watched }
}

// ReplacedAmong reports whether a resource came after the peer that was taken in the
// place of its own, or of the one that both wanted. Presences that came in one burst do
// not say which one is the later.
func (p *Peer) ReplacedAmong(all []session.Resource) bool {
	wanted := receiverOf(p.JID.Resource())
	return p.Software == dialect.Jetsend && slices.ContainsFunc(all, func(r session.Resource) bool {
		return r.JID != p.JID && sameReceiver(r.JID.Resource(), wanted) && r.Seen.After(p.Seen.Add(burst))
	})
}

// receiverOf is the resource that a receiver of ours wanted to have.
func receiverOf(resource string) string {
	parts := strings.SplitN(resource, session.OtherResource, 3) // a [jetsend/internal/login.Prepare] has one of these
	return strings.Join(parts[:min(len(parts), 2)], session.OtherResource)
}

// Prefer puts the client that a transfer was offered to last, if it is there, before
// the others of its form: it has what came so far, and is the one that was named or
// said yes. The others would begin at 0.
func Prefer(peers []*Peer, resource string) []*Peer {
	last := func(p *Peer) int {
		if base := receiverOf(resource); base != "" && sameReceiver(p.JID.Resource(), base) {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(peers), func(a, b *Peer) int {
		return cmp.Or(cmp.Compare(b.Form, a.Form), cmp.Compare(last(b), last(a)))
	})
}

// SetsFirst are the clients with the best form that take sets, or all of them when none does.
func SetsFirst(peers []*Peer) []*Peer {
	var take []*Peer
	for _, p := range peers {
		if p.Sets && p.Form == peers[0].Form {
			take = append(take, p)
		}
	}
	if len(take) == 0 {
		return peers
	}
	return take
}
