package charge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/jid"
)

var errGone = errors.New("gone")

// TestPace exceeds what one contact may offer in a minute, and how many contacts
// have a pace of their own.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Offers
		romeo, begun := jid.MustParse("romeo@jet.test"), time.Now()
		const flood = contactBurst + 50
		for range flood {
			if err := p.Wait(t.Context(), romeo); err != nil {
				t.Fatal(err)
			}
		}
		if took, want := time.Since(begun), time.Duration(float64(flood-contactBurst)/float64(contactOffers)*float64(time.Second)); took < want {
			t.Errorf("%d offers took %v, want %v", flood, took, want)
		}
		begun = time.Now()
		if err := p.Wait(t.Context(), jid.MustParse("nurse@jet.test")); err != nil || time.Since(begun) > 0 {
			t.Errorf("another contact: %v after %v", err, time.Since(begun))
		}
		for i := range 2 * maxPaces {
			p.limiter(jid.MustParse(fmt.Sprintf("u%d@jet.test", i)))
		}
		if p.of.Len() > maxPaces {
			t.Errorf("%d paces are remembered", p.of.Len())
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errGone)
		defer cancel()
		for range contactBurst {
			_ = p.Wait(t.Context(), romeo) // uses up what has come in meanwhile
		}
		<-ctx.Done()
		if err := p.Wait(ctx, romeo); !errors.Is(err, errGone) {
			t.Errorf("of a session that has ended: %v", err)
		}
	})
}
