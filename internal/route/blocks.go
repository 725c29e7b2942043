package route

import (
	"context"
	"strings"

	"jetsend/internal/jid"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const nsDiscoInfo = "http://jabber.org/protocol/disco#info"

// largeBlocks is the size of a block, in bytes, for a server that is quicker with large ones:
// a stanza with it stays below 64 KiB, which is what some allow.
const largeBlocks = 32767

// blockSize is what we offer, and take, of in-band blocks: the user's word, or for another
// jetsend what suits our server. To others it is what all of them take.
func (f *Finder) blockSize(ctx context.Context, peer Peer) int {
	switch {
	case f.cfg.BlockSize > 0:
		return f.cfg.BlockSize
	case peer.Jetsend && f.proxies.known(ctx).large:
		return largeBlocks
	}
	return ibb.DefaultBlockSize
}

// likesLarge reports whether the server is of a kind that is quicker with large blocks:
// ejabberd is, Prosody is not (docs/performance.md).
func (f *Finder) likesLarge(ctx context.Context, server jid.JID) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := f.cfg.Account.IQ(ctx, server, stanza.Get, xmltree.New(nsDiscoInfo, "query"))
	if err != nil || !answer.Is(nsDiscoInfo, "query") {
		return false
	}
	for _, i := range answer.All(nsDiscoInfo, "identity") {
		if i.Attr("category") == "server" && strings.Contains(strings.ToLower(i.Attr("name")), "ejabberd") {
			return true
		}
	}
	return false
}
