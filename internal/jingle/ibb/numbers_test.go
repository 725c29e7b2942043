package ibb

import (
	"testing"

	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestNumbersFromTheWire puts no number in the place of the size of blocks and of the
// number of one.
func TestNumbersFromTheWire(t *testing.T) {
	m := NewManager(Config{Port: &silent{}})
	defer m.Close()
	e, err := m.Expect(Params{Peer: romeo, Transport: Transport{"s", 16}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := ask(t, m, romeo, openS); got != "result" {
		t.Fatal(got)
	}
	c, err := e.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range xmpptest.NoNumbers() {
		if n, ok := parseBlockSize(xmltree.New(NS, "open").Set("block-size", text)); ok {
			t.Errorf("%q is %d bytes", text, n)
		}
		c.mu.Lock()
		refused := c.accept(element("data", "s").Set("seq", text).SetText("eA=="))
		c.mu.Unlock()
		if refused == nil {
			t.Errorf("block %q was taken", text)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if refused := c.accept(element("data", "s").Set("seq", "0").SetText("eA==")); refused != nil {
		t.Errorf("block 0: %v", refused)
	}
}
