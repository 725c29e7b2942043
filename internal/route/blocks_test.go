package route

import (
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/xmltree"
)

// TestBlockSize: large blocks go to a jetsend alone, over a server that likes them; what the
// user says goes first.
func TestBlockSize(t *testing.T) {
	named := func(name string) *xmltree.Element {
		return parsed(t, `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='pubsub' type='pep' name='ejabberd'/><identity category='server' type='im' name='`+name+`'/></query>`)
	}
	for _, tt := range []struct {
		name       string
		configured int
		jetsend    bool
		want       int
	}{
		{"ejabberd", 0, true, largeBlocks},
		{"ejabberd", 0, false, ibb.DefaultBlockSize},
		{"ejabberd", 512, true, 512},
		{"Prosody", 0, true, ibb.DefaultBlockSize},
		{"", 0, true, ibb.DefaultBlockSize},
		{"Prosody", 65535, true, 65535},
	} {
		f := finderOf(&answering{answers: map[string]*xmltree.Element{nsDiscoInfo: named(tt.name)}})
		f.cfg.BlockSize = tt.configured
		f.proxies.list.large = f.likesLarge(t.Context(), jid.MustParse("montague.lit"))
		close(f.proxies.found)
		if got := f.blockSize(t.Context(), Peer{Jetsend: tt.jetsend}); got != tt.want {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}
