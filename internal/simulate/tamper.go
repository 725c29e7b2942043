package simulate

import (
	"encoding/base64"

	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// tampering is what a server, or whoever is on the way, does to stanzas besides losing
// them: 0 is never.
type tampering struct {
	flip    int // the block of data in which a bit is changed
	success int // the stanza of a session after which the receiver is said to have ended it
}

// tamperer counts what passes by. Its fields are under the lock of the server.
type tamperer struct {
	w       *world
	plan    tampering
	blocks  int
	stanzas int
}

// pass is shown each request that passes the server, and may change it; what it returns,
// if anything, is sent after it.
func (t *tamperer) pass(p *packet) (forged *packet) {
	switch {
	case t.w.calm() || p.el == nil:
	case p.el.Is(ibb.NS, "data"):
		if t.blocks++; t.blocks == t.plan.flip {
			t.flip(p)
		}
	case p.el.Is(jingle.NS, "jingle"):
		if t.stanzas++; t.stanzas == t.plan.success {
			return t.forge(p)
		}
	}
	return nil
}

// flip changes a bit of the data.
func (t *tamperer) flip(p *packet) {
	b, err := base64.StdEncoding.DecodeString(p.el.Text)
	if err != nil || len(b) == 0 {
		return
	}
	b[len(b)/2] ^= 1
	p.el = p.el.Clone().SetText(base64.StdEncoding.EncodeToString(b))
	t.w.tampered()
	t.w.count("bit changed on the way")
	t.w.trace("server", "changes a bit of block %d of the data", t.blocks)
}

// forge tells the sender of a file that the session has ended with success.
func (t *tamperer) forge(p *packet) *packet {
	sender, receiver := p.from, p.to
	if sender.Bare() != t.w.romeo.jid {
		sender, receiver = receiver, sender
	}
	t.w.tampered()
	t.w.count("forged success")
	t.w.trace("server", "says that session %s has ended with success, after its stanza %q", p.el.Attr("sid"), p.el.Attr("action"))
	return terminate(receiver, sender, p.el.Attr("sid"))
}

func terminate(from, to jid.JID, sid string) *packet {
	reason := xmltree.New(jingle.NS, "reason", xmltree.New(jingle.NS, "success"))
	return &packet{
		kind: request, from: from, to: to, id: "forged", typ: string(stanza.Set),
		el: xmltree.New(jingle.NS, "jingle", reason).Set("action", string(jingle.SessionTerminate)).Set("sid", sid),
	}
}

// tampered notes that an end may say from now on that somebody has changed something.
func (w *world) tampered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isTampered = true
}

// mayNotice reports whether something was changed on its way.
func (w *world) mayNotice() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isTampered
}
