package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// wordTries is how often it is tried to bring the peer a word of ours while the peer, or
// we, cannot be reached.
const wordTries = 4

// talk is one Jingle session about one file, and what its sealed elements are
// bound to. Either end may be the one that sends the file.
type talk struct {
	e     *Endpoint
	sess  *jingle.Session
	heard hearing
	ts    *crypto.Secret
	offer *offer // of our profile; nil towards other clients
	// writesBack: the receiver may write something back over the path. See writtenBack.
	writesBack bool
	// wire hashes what goes over the path; of the encrypted file element only, and
	// of a plain file.
	wire *wireSum
	// insecure says that the file goes without encryption; nil in every form that
	// has one. See plain.go.
	insecure *plainSum
}

// seal wraps x for the other end.
func (t *talk) seal(kind string, x *xmltree.Element) (*xmltree.Element, error) {
	return seal(t.ts, kind, t.offer.Context(), x)
}

// unseal opens the sealed element of that kind.
func (t *talk) unseal(kind string, elements ...*xmltree.Element) (*xmltree.Element, error) {
	return unseal(t.ts, kind, t.offer.Context(), elements...)
}

// reportAccepted says that the receiver has said yes, and from where on.
func (t *talk) reportAccepted(head Head, offset int64) {
	t.e.cfg.Report(Accepted{Head: head})
	if offset > 0 {
		t.e.cfg.Report(Resumed{Head: head, Offset: offset})
	}
}

// reportPath says that a bytestream stands, and what protects it.
func (t *talk) reportPath(head Head, path *bytestream, encryption string, devices ...omemo.Device) {
	t.e.cfg.Report(Negotiated{
		Head: head, Transport: path.Transport, Candidate: path.Candidate, Cipher: t.ts.Suite().Name(),
		Encryption: encryption, Devices: deviceInfos(devices),
	})
}

// tell brings the peer a session-info that matters, and tries again while one
// of us cannot be reached and ctx lives; once in any case. What the peer thinks of
// it is its business.
func (t *talk) tell(ctx context.Context, payload *xmltree.Element) error {
	pauses := t.e.timing.words
	for try := 1; ; try++ {
		err := t.tellOnce(context.WithoutCancel(ctx), payload)
		var refused *stanza.Error
		switch {
		case err == nil, errors.As(err, &refused) && (codeOfIQ(refused) != exitcode.Offline || refused.Condition == stanza.ItemNotFound):
			return nil // item-not-found is an answer: the session is not known any more
		case errors.Is(err, jingle.ErrEnded), try == wordTries:
			return err
		}
		if t.e.sleep(ctx, pauses.Next()) != nil {
			return err
		}
	}
}

func (t *talk) tellOnce(ctx context.Context, payload *xmltree.Element) error {
	ctx, cancel := context.WithTimeout(ctx, t.e.timing.wordTime)
	defer cancel()
	if err := t.e.sess.WaitOnline(ctx); err != nil {
		return err
	}
	return t.sess.Info(ctx, payload)
}

// ended is the end of the session as an error. When we ended it ourselves, that
// was because of what the peer said in our back: an answer that does not fit.
func (t *talk) ended() error {
	r, byPeer := t.sess.Ended()
	switch {
	case byPeer:
		return t.endedWith(r)
	case t.e.gone():
		return errStreamLost
	case t.offer != nil:
		return fmt.Errorf("%w: the answer does not fit the offer (%s)", errSealed, r.Condition)
	}
	return fmt.Errorf("%w: the answer does not fit the offer (%s)", errUnfit, r.Condition)
}

// reasoned returns the peer's own reason when the session ended, or ends soon,
// and err otherwise: a peer that leaves closes its socket as well, and the
// socket is often faster.
func (t *talk) reasoned(err error) error {
	if fault.Of(err).Cut {
		select {
		case <-t.sess.Done():
			if r, byPeer := t.sess.Ended(); byPeer {
				return t.endedWith(r)
			}
		case <-time.After(t.e.timing.reasonTime):
		}
	}
	return err
}

// await gives the infos of the session to look until that says that it has what
// it looks for. Those that came right before the end of the session count, and
// late is the error when patience ends first.
func (t *talk) await(ctx context.Context, patience time.Duration, late error, look func(info *xmltree.Element) (bool, error)) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	gone, stop := t.watch(ctx)
	defer stop()
	lost := t.e.sess.Lost()
	for {
		if found, err := t.heard.look(look); found || err != nil {
			return err
		}
		if t.heard.ended {
			return t.ended()
		}
		select {
		case ev, open := <-t.sess.Events():
			t.heard.add(ev, open)
		case <-gone:
			if found, err := t.lookNow(look); found || err != nil {
				return err
			}
			return errPeerGone
		case <-timer.C:
			return late
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.e.sess.Done():
			return errStreamLost
		case <-lost: // what is awaited may have been lost with it
			lost = nil
			timer.Reset(min(patience, t.e.timing.lostWordTime))
		}
	}
}

// watch asks another jetsend from time to time whether it still knows the session
// (XEP-0166 section 6.9: a session-info without payload). gone is closed when it
// does not, or has not been there for a while: a process that was killed says no
// farewell, but one that lost its server comes back.
func (t *talk) watch(ctx context.Context) (gone <-chan struct{}, stop func()) {
	dead := make(chan struct{})
	if t.offer == nil {
		return dead, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	t.e.tasks.Go(func() {
		defer close(done)
		missing := 0
		for t.e.sleep(ctx, t.e.timing.watchEvery) == nil {
			ask, cancel := context.WithTimeout(ctx, t.e.timing.watchEvery)
			err := t.sess.Info(ask, nil)
			cancel()
			if !t.tellsGone(err) {
				missing = 0
				continue
			}
			var refused *stanza.Error
			missing++
			if errors.As(err, &refused) && refused.Condition == stanza.ItemNotFound || missing == watchMisses {
				close(dead)
				return
			}
		}
	})
	return dead, func() { cancel(); <-done }
}

// tellsGone tells whether an answer means that the peer's client is gone. Right
// after a new login of our own it is more likely that the server was away and the
// client, too, is about to come back.
func (t *talk) tellsGone(err error) bool {
	var refused *stanza.Error
	if !errors.As(err, &refused) || codeOfIQ(refused) != exitcode.Offline {
		return false
	}
	back := t.e.back.Load()
	return refused.Condition == stanza.ItemNotFound || back == nil || time.Since(*back) > t.e.timing.lostWordTime
}

// watchMisses is how often the client must be missing.
const watchMisses = 3
