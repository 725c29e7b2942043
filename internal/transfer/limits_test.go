package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"jetsend/internal/charge"
	"jetsend/internal/jid"
	"jetsend/internal/policy"
	"jetsend/internal/session"
	"jetsend/internal/upkeep"
	"jetsend/internal/workload"
)

// unconnected is an endpoint without a server, for what is decided before one is
// needed.
func unconnected() *Endpoint {
	e := &Endpoint{core: core{
		common: &common{}, timing: usual, log: slog.New(slog.DiscardHandler),
		sess: session.New(session.Config{JID: jid.MustParse("juliet@jet.test"), Password: func(context.Context) (string, error) { return "", nil }}),
	}}
	e.upkeep = upkeep.New(e.sess, nil, e.log)
	return e
}

// termsOf are those of the options, where no key is verified.
func termsOf(r *receiver, opt ReceiveOptions) *terms {
	return &terms{ReceiveOptions: opt, people: r.e.people()}
}

// TestWaitingOffers exceeds the offers that may wait to be decided.
func TestWaitingOffers(t *testing.T) {
	romeo := jid.MustParse("romeo@jet.test/orchard")
	r := &receiver{e: &unconnected().core}
	under := termsOf(r, ReceiveOptions{Accept: policy.From, From: []jid.JID{romeo.Bare()}})
	for range workload.MaxWaiting {
		if !r.admits(under, romeo) {
			t.Fatal("refused too soon")
		}
		r.work.Session(func() {})
	}
	if r.admits(under, romeo) || r.serves(romeo) {
		t.Error("more offers wait than may")
	}
	r.work.Decided()
	if !r.admits(under, romeo) {
		t.Error("refused although one was decided")
	}
}

// TestStrangers exceeds what strangers, all together, may make us look at.
func TestStrangers(t *testing.T) {
	r := &receiver{e: &unconnected().core, strangers: charge.Strangers()}
	burst := r.strangers.Burst()
	under := termsOf(r, ReceiveOptions{Accept: policy.All})
	admitted := 0
	for i := range 10 * burst {
		if r.admits(under, jid.MustParse(fmt.Sprintf("s%d@jet.test/x", i))) {
			admitted++
		}
	}
	if admitted < burst || admitted > burst+5 { // the clock goes on
		t.Errorf("%d of %d offers of strangers were let in", admitted, 10*burst)
	}
	if !r.admits(under, jid.MustParse("juliet@jet.test/other")) {
		t.Error("one of our own devices counts as a stranger")
	}
}
