package charge

import (
	"fmt"
	"testing"
	"time"

	"jetsend/internal/jid"
)

// TestReports exceeds how often the user is told, of one contact and of all.
func TestReports(t *testing.T) {
	var r Reports
	now := time.Now()
	told := 0
	for i := range 10 * maxReports {
		if r.Due(jid.MustParse(fmt.Sprintf("u%d@jet.test", i%(2*maxReports))), now) {
			told++
		}
	}
	if told != maxReports || len(r.last) != maxReports {
		t.Errorf("%d told, %d remembered", told, len(r.last))
	}
	if !r.Due(jid.MustParse("u0@jet.test"), now.Add(reportEvery)) || len(r.last) != 1 {
		t.Errorf("a minute later: %d remembered", len(r.last))
	}
}
