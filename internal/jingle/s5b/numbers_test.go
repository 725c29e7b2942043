package s5b

import (
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// TestNumbersFromTheWire puts no number in the place of each number of a candidate and
// of a proxy's address: neither is the default, nor 0.
func TestNumbersFromTheWire(t *testing.T) {
	candidate := func() *xmltree.Element {
		return Candidate{CID: "c", Host: "192.0.2.1", Port: 1, Priority: 2, Type: Direct}.Element()
	}
	for what, read := range map[string]func(string) bool{
		"port":     func(s string) bool { _, ok := parseCandidate(candidate().Set("port", s)); return ok },
		"priority": func(s string) bool { _, ok := parseCandidate(candidate().Set("priority", s)); return ok },
		"streamhost": func(s string) bool {
			q := xmltree.New(NSBytestreams, "query", xmltree.New(NSBytestreams, "streamhost").Set("host", "192.0.2.1").Set("port", s))
			return len(parseStreamhosts(q, jid.MustParse("proxy.jet.test"))) == 1
		},
		"advertised": func(s string) bool { _, _, ok := forwarded("192.0.2.1:" + s); return ok },
		"configured": func(s string) bool { return CheckProxies([]string{"proxy.jet.test=192.0.2.1:" + s}) == nil },
	} {
		for _, text := range append(xmpptest.NoNumbers(), "4294967296") {
			if read(text) {
				t.Errorf("%s: %q is a number", what, text)
			}
		}
		if !read("2") {
			t.Errorf("%s: 2 is none", what)
		}
	}
	for _, text := range []string{"0", "65536"} {
		if _, ok := parseCandidate(candidate().Set("port", text)); ok {
			t.Errorf("%s is a port", text)
		}
	}
}
