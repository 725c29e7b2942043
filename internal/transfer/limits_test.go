package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"jetsend/internal/charge"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/session"
	"jetsend/internal/upkeep"
)

// unconnected is an endpoint without a server, for what is decided before one is
// needed.
func unconnected() *Endpoint {
	e := &Endpoint{
		timing: usual, log: slog.New(slog.DiscardHandler),
		sess: session.New(session.Config{JID: jid.MustParse("juliet@jet.test"), Password: func(context.Context) (string, error) { return "", nil }}),
	}
	e.upkeep = upkeep.New(e.sess, nil, e.log)
	return e
}

// TestWaitingOffers exceeds the offers that may wait to be decided.
func TestWaitingOffers(t *testing.T) {
	romeo := jid.MustParse("romeo@jet.test/orchard")
	r := &receiver{e: unconnected()}
	under := &terms{ReceiveOptions: ReceiveOptions{Accept: AcceptFrom, From: []jid.JID{romeo.Bare()}}, e: r.e}
	for range maxWaiting {
		if !r.admits(under, romeo) {
			t.Fatal("refused too soon")
		}
		r.waiting++
	}
	if r.admits(under, romeo) || r.serves(romeo) {
		t.Error("more offers wait than may")
	}
	r.looked()
	if !r.admits(under, romeo) {
		t.Error("refused although one was decided")
	}
}

// TestStrangers exceeds what strangers, all together, may make us look at.
func TestStrangers(t *testing.T) {
	r := &receiver{e: unconnected(), strang: charge.Strangers()}
	burst := r.strang.Burst()
	under := &terms{ReceiveOptions: ReceiveOptions{Accept: AcceptAll}, e: r.e}
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

// TestAnswersAreBounded exceeds the batches whose answer is remembered: what is
// beyond is asked about for each file.
func TestAnswersAreBounded(t *testing.T) {
	asked := 0
	r := &receiver{asking: make(chan struct{}, 1), answers: map[string]*answer{}}
	put := func(context.Context, Question) (bool, error) { asked++; return true, nil }
	for i := range maxBatches + 10 {
		for index := 1; index <= 2; index++ {
			q := Question{Peer: jid.MustParse("romeo@jet.test/a"), Size: 1, Batch: &Batch{ID: fmt.Sprint(i), Index: index, Count: 2, Bytes: 2}}
			if err := r.ask(t.Context(), put, q); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(r.answers) != maxBatches || asked != maxBatches+2*10 {
		t.Errorf("%d answers are remembered, %d questions were asked", len(r.answers), asked)
	}
}

// TestRefusedAreBounded: a run with --once that waits remembers only so many of the files
// that it refuses; of the batch that it has taken it knows each.
func TestRefusedAreBounded(t *testing.T) {
	r := &receiver{}
	r.once.begin()
	sess := new(jingle.Session)
	refuse := func(batch, transfer string) {
		in := &incoming{r: r, sess: sess, lot: batch, head: Head{Transfer: transfer}, talk: sealedIn(t, offer{Batch: &Batch{ID: batch, Count: maxBatch}})}
		r.missed(in, exitcode.Declined)
	}
	remembered := func() (n int) {
		for _, l := range r.once.seen {
			n += len(l.ended)
		}
		return n
	}
	for i := range maxRefused + 10 {
		refuse(fmt.Sprint("batch", i%3), fmt.Sprint(i))
	}
	refuse("batch0", "0") // again
	if n := remembered(); n != maxRefused {
		t.Errorf("%d are remembered", n)
	}
	r.once.taken = r.once.seen["batch0"]
	refuse("batch0", "late")
	if n := remembered(); n != maxRefused+1 {
		t.Errorf("%d are remembered, with that of the batch that is taken", n)
	}
}
