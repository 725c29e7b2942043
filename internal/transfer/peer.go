package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"jetsend/internal/clean"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/stanza"
)

// discoWait is how long a resource may take to say what it can do.
const discoWait = 5 * time.Second

// settle is how long we keep looking after a presence change, so that the
// resources that come in one burst are compared with each other.
const settle = 50 * time.Millisecond

// choose returns the resources of a contact that a file can be offered to, the
// best first. It waits for one to appear, at most for wait.
func (e *Endpoint) choose(ctx context.Context, to jid.JID, wait time.Duration) ([]jid.JID, error) {
	ctx, cancel := context.WithTimeout(ctx, max(wait, 0))
	defer cancel()
	if !to.IsBare() {
		return e.chooseFull(ctx, to)
	}
	asked := map[jid.JID]bool{} // and whether it can
	for {
		changed := e.sess.PresenceChanged()
		capable, online := e.ask(ctx, to, asked)
		if len(capable) > 0 {
			return capable, nil
		}
		select {
		case <-changed:
			select {
			case <-time.After(settle):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return nil, cause
			}
			return nil, noResource(to, online, len(asked))
		case <-e.sess.Done():
			return nil, errStreamLost
		}
	}
}

// chooseFull asks the one resource that was named.
func (e *Endpoint) chooseFull(ctx context.Context, to jid.JID) ([]jid.JID, error) {
	// A named resource need not show presence, so there is nothing to wait for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoWait)
	defer cancel()
	info, err := e.sess.DiscoInfo(ctx, to, "")
	if err != nil {
		return nil, &Failure{Code: exitcode.Offline, Reason: "no answer from " + clean.Text(to.String()), Err: err,
			Hints: []string{"name the contact without a resource to take any that is online"}}
	}
	if !info.Has(NS) {
		return nil, noResource(to, 1, 1)
	}
	return []jid.JID{to}, nil
}

// ask finds out about the resources not asked yet and returns those that can
// take a file, best first, and how many are online at all.
func (e *Endpoint) ask(ctx context.Context, to jid.JID, asked map[jid.JID]bool) (capable []jid.JID, online int) {
	resources := e.sess.Resources(to) // best first; of our own account the others
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, r := range resources {
		if _, known := asked[r.JID]; known {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, discoWait)
			defer cancel()
			info, err := e.sess.DiscoInfo(ctx, r.JID, "")
			if err != nil {
				e.log.Debug("disco#info", "jid", r.JID, "error", err)
			}
			if answered(err) {
				mu.Lock()
				asked[r.JID] = err == nil && info.Has(NS)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, r := range resources {
		if asked[r.JID] {
			capable = append(capable, r.JID)
		}
	}
	return capable, len(resources)
}

// answered tells whether the outcome of a disco#info is the resource's word.
func answered(err error) bool {
	var se *stanza.Error
	return err == nil || errors.As(err, &se)
}

// noResource says why there is nobody to offer a file to: of the resources
// that are online, some may have answered what they can do.
func noResource(to jid.JID, online, answered int) *Failure {
	who := clean.Text(to.String())
	switch {
	case online == 0:
		return &Failure{
			Code: exitcode.Offline, Reason: who + " is not online",
			Hints: []string{
				"wait longer with `--wait 5m`",
				"without a presence subscription nobody is seen online: `jetsend contacts add " + clean.Text(to.Bare().String()) + "`",
			},
		}
	case answered == 0:
		return &Failure{
			Code: exitcode.Offline, Reason: who + " is online but does not answer",
			Hints: []string{"wait longer with `--wait 5m`"},
		}
	}
	return &Failure{
		Code: exitcode.Incapable, Reason: fmt.Sprintf("no client of %s can receive encrypted files from here (%d online)", who, online),
		Hints: []string{"ask the contact to run `jetsend receive`"},
	}
}
