package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const (
	// primePause gathers the presences of a login into one round of priming.
	primePause = time.Second
	// primeEvery is the pace of rounds when nobody comes or goes.
	primeEvery = time.Hour
	// primeRest is how often there is a round when clients come and go all the time,
	// once primesAtLogin came at once: each looks through the account's contacts.
	primeRest     = 10 * time.Second
	primesAtLogin = 10
	// maxPrimes bounds the clients looked at in one round, primesAtOnce those at
	// the same time.
	maxPrimes    = 200
	primesAtOnce = 8
	// maxPrimesContact bounds those of one contact: his may all be silent.
	maxPrimesContact = 8
)

// Newcomer has a round of priming come soon: somebody has a new device, or is a contact
// now whose files are taken.
func (u *Upkeep) Newcomer() {
	select {
	case u.newcomer <- struct{}{}:
	default: // already told
	}
}

// Prime makes our sessions known to the clients that would not begin one for a file,
// once for each client and session, until ctx ends or the account is offline for good.
// They are those of contacts, which are bare and asked for in every round, while on
// says that this is wanted.
func (u *Upkeep) Prime(ctx context.Context, on func() bool, contacts func(context.Context) ([]jid.JID, error)) {
	var waiting atomic.Bool // a round
	rounds := rate.NewLimiter(rate.Every(primeRest), primesAtLogin)
	for {
		changed := u.account.PresenceChanged()
		next := primeEvery
		if on() && waiting.CompareAndSwap(false, true) {
			u.Chore("publish our device", u.keepAnnounced)
			u.Chore("ratchet steps", u.steps)
			taken := u.Chore("prime", func(ctx context.Context) error {
				waiting.Store(false)
				return u.primeRound(ctx, contacts)
			})
			if !taken { // the device lists of a login may be more than there is room for
				waiting.Store(false)
				next = primePause
			}
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-u.account.Done():
		case <-timer.C:
		case <-changed:
		case <-u.newcomer:
		}
		timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-u.account.Done():
			return
		case <-time.After(max(primePause, rounds.Reserve().Delay())):
		}
	}
}

func (u *Upkeep) primeRound(ctx context.Context, contacts func(context.Context) ([]jid.JID, error)) error {
	all, err := contacts(ctx)
	if err != nil {
		return err
	}
	online := make([][]session.Resource, len(all))
	for i, bare := range all {
		online[i] = u.account.Resources(bare)
	}
	// At once, because a client that does not answer must not keep the others
	// waiting.
	var group errgroup.Group
	group.SetLimit(primesAtOnce)
	for _, res := range turns(online) {
		group.Go(func() error {
			if err := u.primeOne(ctx, res); err != nil {
				return fmt.Errorf("prime %s: %w", res.JID, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// turns are the clients that a round looks at: a few of each contact, so that one with
// many that are silent does not use up the time of all.
func turns(online [][]session.Resource) (all []session.Resource) {
	for _, of := range online {
		all = append(all, of[:min(len(of), maxPrimesContact)]...) // best first
	}
	return all[:min(len(all), maxPrimes)]
}

// primeOne sends one resource what it needs to encrypt to us, if anything.
func (u *Upkeep) primeOne(ctx context.Context, res session.Resource) error {
	need, err := u.device.Unprimed(ctx, res.JID)
	if err != nil {
		return err
	}
	known, err := u.device.Devices(ctx, res.JID.Bare())
	if err != nil || len(need) == 0 && len(known) > 0 {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, contact.DiscoWait)
	defer cancel()
	info, err := u.account.DiscoInfo(ask, res.JID, "")
	if err != nil {
		return nil //nolint:nilerr // a client that does not say what it can do is not primed
	}
	if contact.Describe(res.JID, info, res.Caps).Form != dialect.FormJET {
		return nil // jetsends begin their sessions themselves, others cannot use one
	}
	children, err := u.device.Prime(ctx, u.account, res.JID, 0, u.needsJunk(ctx, res.JID))
	if errors.Is(err, omemo.ErrNoDevice) {
		return nil
	}
	if err != nil || len(children) == 0 {
		return err
	}
	u.log.Info("primed", "client", res.JID)
	return u.send(ctx, res.JID, children)
}

// nsVersion is XEP-0092.
const nsVersion = "jabber:iq:version"

// needsJunk reports whether a client overlooks OMEMO messages without a payload:
// Dino before 0.4.5.
func (u *Upkeep) needsJunk(ctx context.Context, full jid.JID) bool {
	ctx, cancel := context.WithTimeout(ctx, contact.DiscoWait)
	defer cancel()
	caps := session.Caps{}
	if r := u.resource(full); r != nil {
		caps = r.Caps
	}
	info, err := u.account.DiscoInfo(ctx, full, "")
	if err != nil || contact.SoftwareOf(info, caps) != dialect.Dino {
		return false
	}
	v, err := u.account.IQ(ctx, full, stanza.Get, xmltree.New(nsVersion, "query"))
	if err != nil {
		return true // it does no harm to later ones
	}
	return olderThan(v.ChildText(nsVersion, "version"), 0, 4, 5)
}

// olderThan compares a dotted version; what cannot be read is old.
func olderThan(version string, limit ...int) bool {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	for i, want := range limit {
		if i >= len(parts) {
			return true
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < want {
			return true
		}
		if n > want {
			return false
		}
	}
	return false
}
