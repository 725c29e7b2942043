package transfer

import (
	"fmt"
	"strings"
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
)

// TestTrustReason: who is refused for a key is told that alone, and the key in the
// groups in which people compare it.
func TestTrustReason(t *testing.T) {
	trust := &omemo.TrustError{JID: jid.MustParse("a@b.example"), Device: 7, Fingerprint: printOf('a'), Known: printOf('b'), Kind: omemo.Changed}
	f := failureOf(fmt.Errorf("encrypt for a@b.example: %w; device 7: %w", omemo.ErrNoDevice, trust), false)
	if f.Code != exitcode.Untrusted || f.Error() != "the key of device 7 of a@b.example has changed" {
		t.Errorf("%d, %s", f.Code, f)
	}
	hints := strings.Join(f.Hints, "\n")
	for _, want := range []string{grouped(printOf('a')), grouped(printOf('b')), "`jetsend trust verify a@b.example " + printOf('a') + "`"} {
		if !strings.Contains(hints, want) {
			t.Errorf("%q is not in:\n%s", want, hints)
		}
	}
	if f := failureOf(fmt.Errorf("encrypt: %w", omemo.ErrNoDevice), false); f.Code != exitcode.Untrusted || len(f.Hints) != 1 || f.Hints[0] != noOMEMO {
		t.Errorf("no device: %+v", f)
	}
}
