package omemo

import (
	"testing"

	"jetsend/internal/xmpptest"
)

// TestNumbersFromTheWire: ids of devices and prekeys in lists, bundles and envelopes
// are read by parseID.
func TestNumbersFromTheWire(t *testing.T) {
	for _, text := range append(xmpptest.NoNumbers(), "2147483648", "4294967297") {
		if id, err := parseID(text, 0); err == nil {
			t.Errorf("%q is the id %d", text, id)
		}
	}
	for text, want := range map[string]uint32{"1": 1, " 7 ": 7, "2147483647": 1<<31 - 1} {
		if id, err := parseID(text, 1); err != nil || id != want {
			t.Errorf("%q: %d, %v", text, id, err)
		}
	}
	if _, err := parseID("0", 1); err == nil {
		t.Error("0 is a device")
	}
}
