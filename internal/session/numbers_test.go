package session

import (
	"testing"

	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestNumbersFromTheWire puts no number in the place of each number that a server
// sends: an acknowledgement of nothing is none of 0, and a time that cannot be read is
// ours.
func TestNumbersFromTheWire(t *testing.T) {
	const nonce = "fyko"
	challenge := func(iterations string) error {
		return checkChallenge("r="+nonce+"more,s=QSXCR+Q6sek8bf92,i="+iterations, nonce)
	}
	for _, text := range append(xmpptest.NoNumbers(), "+4096", "-4096", "4294971392") {
		m := management{wake: make(chan struct{}, 1)}
		m.enable()
		if err := m.element(xmltree.New(nsSM, "enabled").Set("id", "a").Set("resume", "true").Set("max", text)); err != nil || m.max != resumeTime {
			t.Errorf("max %q: %v, %v", text, m.max, err)
		}
		if err := m.ack(xmltree.New(nsSM, "a").Set("h", text)); err == nil {
			t.Errorf("h %q is a number", text)
		}
		if challenge(text) == nil {
			t.Errorf("%q iterations", text)
		}
		if place := parsePlace("jet.test:"+text, false); place != nil {
			t.Errorf("port %q: %+v", text, place)
		}
	}
	if err := challenge("4096"); err != nil {
		t.Error(err)
	}
}
