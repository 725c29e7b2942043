package main

import (
	"context"
	"errors"
	"time"
)

// errBefore is returned when what is to be updated has not come.
var errBefore = errors.New("what is to be updated has not arrived")

// before sends what a set is to update, with nothing in its way.
func (r *round) before(ctx context.Context) error {
	if r.goods == nil || !r.plan.set.update || r.o.dry {
		return nil
	}
	if err := r.attempt(ctx, attempt{way: bySend}); err != nil {
		return err
	}
	if !r.done() {
		return errBefore
	}
	r.setDaemon(receiver, false)
	if err := r.goods.change(r.plan.seed, r.plan.set, r.inbox); err != nil {
		return err
	}
	r.story.add("ROUND", "changed; now it is sent again")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan.size, r.plan.entries = r.goods.count()
	r.plan.data = r.goods.fresh()
	r.sent, r.told, r.id = false, map[string]bool{}, map[end]string{}
	r.received, r.complete = map[string]int{}, map[string]time.Time{}
	return nil
}

// sources are what is sent.
func (r *round) sources() []string {
	if r.goods != nil {
		return r.goods.paths()
	}
	return []string{r.source}
}

// checkGoods looks at what has come of a set, and in the end, at what is left of it.
func (r *round) checkGoods(over bool) {
	for _, text := range r.goods.check(r.inbox, over) {
		r.blame("%s", text)
	}
	if !over {
		return
	}
	r.checkOutbox()
	for e, account := range r.couple.accounts {
		if left := leftovers(account.Home); len(left) > 0 {
			r.blame("the %s has left %q", e, left)
		}
	}
}
