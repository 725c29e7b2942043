package contact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
)

const (
	// askedAgain is when a client is asked again for which nobody answered: its stream
	// may just be broken.
	askedAgain = 3 * time.Second
	// settle is how long we keep looking after a presence change, so that the
	// resources that come in one burst are compared with each other.
	settle = 50 * time.Millisecond
	// burst is how long after its latest change the resources of a contact are all that
	// there are: a server tells of them in one go.
	burst = 500 * time.Millisecond
	// silence is how long nobody has to be told what is waited for.
	silence = time.Second
)

// anyForm is the least of the forms.
const anyForm = dialect.FormNone + 1

// Choose returns the clients of a contact that a file can be offered to, the best form
// first. It waits for one to appear, at most for opt.Wait, and reports what it waits for.
// An error that says why nobody was found is a *[fault.Failure], and the cause of ctx when that
// has ended.
func (f *Finder) Choose(ctx context.Context, opt Options) ([]*Peer, error) {
	return f.Await(ctx, opt, anyForm)
}

// Await is [Finder.ChooseForm] for somebody who looks on: when nobody is found at once, it
// reports what is waited for.
func (f *Finder) Await(ctx context.Context, opt Options, least dialect.Form) ([]*Peer, error) {
	found := make(chan struct{})
	var teller sync.WaitGroup
	defer teller.Wait()
	defer close(found)
	if opt.To.IsBare() && opt.Wait > silence {
		teller.Go(func() {
			select {
			case <-time.After(silence):
				f.Report(event.Waiting{Peer: opt.To.String(), AtMost: opt.Wait, Online: len(f.Others(opt.To)) > 0})
			case <-found:
			}
		})
	}
	return f.ChooseForm(ctx, opt, least)
}

// ChooseForm is [Finder.Choose], without a report, among those who have that form or a
// better one; for others it does not end its waiting. Any form is better than none: then,
// when all clients have answered that they take none, it does not wait for others, unless
// it is told to or the contact is known to use a jetsend.
func (f *Finder) ChooseForm(ctx context.Context, opt Options, least dialect.Form) ([]*Peer, error) {
	if !opt.To.IsBare() {
		return f.chooseFull(ctx, opt)
	}
	if err := f.Account.Appear(ctx); err != nil { // an account that is not online sees nobody
		return nil, fmt.Errorf("%w: %w", fault.ErrStreamLost, err)
	}
	s := &search{
		Finder: f, opt: opt, least: least, until: time.Now().Add(opt.Wait), asked: map[jid.JID]*Peer{},
		hopes: least > anyForm || opt.Patient || f.mayCome(ctx, opt.To.Bare()),
	}
	for {
		changed := f.Account.PresenceChanged()
		capable, online := s.ask(ctx)
		if len(capable) > 0 {
			return capable, nil
		}
		if err := s.wait(ctx, changed, online); err != nil {
			return nil, err
		}
	}
}

// chooseFull asks the one resource that was named. It need not show presence,
// so there is nothing to wait for.
func (f *Finder) chooseFull(ctx context.Context, opt Options) ([]*Peer, error) {
	wait, cancel := context.WithTimeout(ctx, DiscoWait)
	defer cancel()
	info, err := f.Account.DiscoInfo(wait, opt.To, "")
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		fail := &fault.Failure{
			Code: exitcode.Offline, Reason: "no answer from " + clean.Text(opt.To.String()), Err: err,
			Hints: []string{"name the contact without a resource to take any that is online"},
		}
		var refused *stanza.Error
		if errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded) {
			fail.Err = nil // it says no more than that
		}
		return nil, fail
	}
	p := Describe(opt.To, info, session.Caps{})
	if p.Form = p.Best(opt.Encryption); p.Form == dialect.FormNone {
		return nil, hintForms(f.NoResource(ctx, opt, 1, 1), opt, []*Peer{p})
	}
	return []*Peer{p}, nil
}

// mayCome reports whether a jetsend of the contact is known, which may come online.
func (f *Finder) mayCome(ctx context.Context, bare jid.JID) bool {
	devices, err := f.Keys.Devices(ctx, bare)
	if err != nil {
		return false
	}
	known, err := f.knownJetsend(ctx, bare, devices)
	return known && err == nil
}

// search is one wait for the clients of a contact.
type search struct {
	*Finder
	opt   Options
	least dialect.Form // for others it waits
	until time.Time
	asked map[jid.JID]*Peer // the latest answers
	// hopes: another client may come where all that are online have answered in vain;
	// warned: that they have was reported.
	hopes, warned bool
}

// wait returns when it is worth asking again, or says why it is not. online is how many
// clients there are.
func (s *search) wait(ctx context.Context, changed <-chan struct{}, online int) error {
	var hopeless <-chan time.Time // never
	if s.least == anyForm && !s.warned && s.answered() {
		hopeless = time.After(time.Until(s.lastSeen().Add(burst)))
	}
	over := time.After(time.Until(s.until))
	select {
	case <-time.After(askedAgain):
	case <-hopeless:
		fail := s.nobody(ctx, online)
		if !s.hopes {
			return fail
		}
		s.warned = true
		s.Report(event.Warning{Text: fail.Reason + "; you wait for another client"})
	case <-changed:
		select {
		case <-time.After(settle):
		case <-over: // what has come is asked all the same
		case <-ctx.Done():
		}
	case <-over:
		return s.nobody(ctx, online)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.Account.Done():
		return fault.ErrStreamLost
	}
	return nil
}

// nobody says why nobody was found.
func (s *search) nobody(ctx context.Context, online int) *fault.Failure {
	return hintForms(s.NoResource(ctx, s.opt, online, len(s.asked)), s.opt, slices.Collect(maps.Values(s.asked)))
}

// answerOf is what was asked about a resource, nil when it is to be asked: somebody who
// comes back under the same address is asked anew, and so is one for whom its server may
// have answered.
func (s *search) answerOf(r session.Resource) *Peer {
	if p := s.asked[r.JID]; p != nil && !p.unsure && p.Seen.Equal(r.Seen) {
		return p
	}
	return nil
}

// ask finds out about the resources not asked yet and returns those that can
// take a file in a form that will do, best first, and how many are online at all.
func (s *search) ask(ctx context.Context) (capable []*Peer, online int) {
	resources := s.Others(s.opt.To)
	unknown := slices.DeleteFunc(slices.Clone(resources), func(r session.Resource) bool { return s.answerOf(r) != nil })
	q := inquiry{least: s.least, most: slices.Max(s.opt.Encryption.Forms()), ask: s.askOne}
	for _, p := range q.run(ctx, unknown) {
		s.asked[p.JID] = p
	}
	for _, r := range resources {
		if p := s.answerOf(r); p != nil && p.Form >= s.least {
			capable = append(capable, p)
		}
	}
	proven := s.proven(ctx, capable)
	slices.SortStableFunc(capable, func(a, b *Peer) int {
		return cmp.Or(cmp.Compare(b.Form, a.Form), cmp.Compare(proven[b.JID], proven[a.JID]))
	})
	return capable, len(resources)
}

// proven are those clients, by 1, that a device with a verified key was heard from or is told to be
// at: the others of a contact may be refused.
func (s *search) proven(ctx context.Context, capable []*Peer) map[jid.JID]int {
	proven := map[jid.JID]int{}
	if len(capable) < 2 {
		return proven
	}
	devices, err := s.Keys.Devices(ctx, s.opt.To.Bare())
	if err != nil {
		s.Log.Debug("devices", "jid", s.opt.To, "error", err)
	}
	for _, d := range devices {
		if d.Trust == omemo.Verified && d.Active && !d.At.IsZero() {
			proven[d.At] = 1
		}
	}
	return proven
}

// askOne asks a resource what it can take; nil when nothing answers for it.
func (s *search) askOne(ctx context.Context, r session.Resource) *Peer {
	info, err := s.Account.DiscoInfo(ctx, r.JID, "")
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused): // an answer all the same
		info = &session.DiscoInfo{}
	case err != nil:
		s.Log.Debug("disco#info", "jid", r.JID, "error", err)
		return nil
	}
	p := Describe(r.JID, info, r.Caps)
	p.Form = p.Best(s.opt.Encryption)
	p.Seen, p.unsure = r.Seen, refused != nil && fault.CodeOfAnswer(refused) == exitcode.Offline
	return p
}

// answered reports whether the contact is online and all its clients have said for good
// what they can take.
func (s *search) answered() bool {
	resources := s.Others(s.opt.To)
	return len(resources) > 0 && !slices.ContainsFunc(resources, func(r session.Resource) bool {
		p := s.answerOf(r)
		return p == nil || p.Software == dialect.Jetsend // which may be about to receive
	})
}

// lastSeen is when the latest presence of the contact came.
func (s *search) lastSeen() (at time.Time) {
	for _, r := range s.Others(s.opt.To) {
		if r.Seen.After(at) {
			at = r.Seen
		}
	}
	return at
}
