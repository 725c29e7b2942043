package session

import (
	"context"
	"fmt"
	"slices"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// The namespaces of service discovery (XEP-0030).
const (
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
)

// Identity is what an entity says that it is (XEP-0030 section 3.1).
type Identity struct {
	Category, Type, Lang, Name string
}

// DiscoInfo is what an entity is and can do. All of it is the entity's claim;
// names are to be cleaned before display. Answers may be shared: do not modify.
type DiscoInfo struct {
	Identities []Identity
	Features   []string
	Forms      []*xmltree.Element // jabber:x:data, XEP-0128
}

// Has reports whether the feature is there.
func (d *DiscoInfo) Has(feature string) bool { return slices.Contains(d.Features, feature) }

// DiscoItem is one entry of a disco#items answer (XEP-0030 section 4).
type DiscoItem struct {
	JID        jid.JID
	Node, Name string
}

// DiscoInfo asks an entity what it can do; a zero of means our own account.
// The answer for a contact's device (full JID, no node) comes from the cache
// when its presence carries the hash of capabilities verified before
// (XEP-0115 section 5.4).
func (s *Session) DiscoInfo(ctx context.Context, of jid.JID, node string) (*DiscoInfo, error) {
	var caps Caps
	if node == "" && !of.IsBare() {
		caps = s.capsOf(of)
		if d := s.verified.get(caps); d != nil {
			return d, nil
		}
		if d := s.knownCaps(ctx, caps); d != nil {
			return d, nil
		}
	}
	q := xmltree.New(nsDiscoInfo, "query")
	if node != "" {
		q.Set("node", node)
	}
	res, err := s.IQ(ctx, of, stanza.Get, q)
	if err != nil {
		return nil, fmt.Errorf("features of %s: %w", of, err)
	}
	if !res.Is(nsDiscoInfo, "query") {
		return nil, fmt.Errorf("features of %s: not an answer to the question", of)
	}
	d := parseDiscoInfo(res)
	if s.verified.put(caps, d) && s.cfg.Known != nil {
		if text := res.Bytes(); len(text) <= 2*maxCapsEntry { // there may be more in it than what the hash is of
			s.cfg.Known.Put(ctx, knownCaps+caps.Ver, text)
		}
	}
	return d, nil
}

// knownCaps is before the hash in the name by which capabilities are known, capsAge is for
// how long: as good as they are by their hash, nobody needs those of a client of last year.
const (
	knownCaps = "caps "
	capsAge   = 90 * 24 * time.Hour
)

// knownCaps returns capabilities that an earlier session has verified; nil when there are none.
func (s *Session) knownCaps(ctx context.Context, caps Caps) *DiscoInfo {
	if s.cfg.Known == nil || caps.Ver == "" {
		return nil
	}
	text, ok := s.cfg.Known.Get(ctx, knownCaps+caps.Ver, capsAge)
	if !ok {
		return nil
	}
	el, err := xmltree.Parse(text)
	if err != nil {
		return nil
	}
	s.verified.put(caps, parseDiscoInfo(el)) // which checks the hash
	return s.verified.get(caps)
}

// capsOf returns what the latest presence of a device said.
func (s *Session) capsOf(full jid.JID) Caps {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	return s.presence.byBare[full.Bare()][full.Resource()].Caps
}

func parseDiscoInfo(q *xmltree.Element) *DiscoInfo {
	d := &DiscoInfo{Forms: q.All(nsDataForm, "x")}
	for _, el := range q.All(nsDiscoInfo, "identity") {
		id := Identity{Category: el.Attr("category"), Type: el.Attr("type"), Name: el.Attr("name")}
		for _, a := range el.Attrs {
			if a.Name.Space == "xml" && a.Name.Local == "lang" {
				id.Lang = a.Value
			}
		}
		d.Identities = append(d.Identities, id)
	}
	for _, el := range q.All(nsDiscoInfo, "feature") {
		d.Features = append(d.Features, el.Attr("var"))
	}
	return d
}

// DiscoItems asks an entity what belongs to it; a zero of means our own
// account. Our own server is jid of the domain.
func (s *Session) DiscoItems(ctx context.Context, of jid.JID, node string) ([]DiscoItem, error) {
	q := xmltree.New(nsDiscoItems, "query")
	if node != "" {
		q.Set("node", node)
	}
	res, err := s.IQ(ctx, of, stanza.Get, q)
	if err != nil {
		return nil, fmt.Errorf("items of %s: %w", of, err)
	}
	var out []DiscoItem
	for _, el := range res.All(nsDiscoItems, "item") {
		if j, err := jid.Parse(el.Attr("jid")); err == nil {
			out = append(out, DiscoItem{JID: j, Node: el.Attr("node"), Name: el.Attr("name")})
		}
	}
	return out, nil
}

// answerDiscoInfo says what we are and can do, for no node and for that of our
// capabilities (XEP-0115 section 6.2).
func (s *Session) answerDiscoInfo(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) {
	node, has := iq.Payload.LookupAttr("node")
	if iq.Type != stanza.Get {
		return nil, stanza.NewError(stanza.BadRequest)
	}
	caps := s.caps.Load()
	if has && node != "" && node != caps.fullNode() {
		return nil, stanza.NewError(stanza.ItemNotFound)
	}
	q := caps.query()
	if has {
		q.Set("node", node)
	}
	return q, nil
}

// answerDiscoItems says that nothing belongs to us.
func (s *Session) answerDiscoItems(_ context.Context, iq stanza.IQ) (*xmltree.Element, error) {
	if iq.Type != stanza.Get {
		return nil, stanza.NewError(stanza.BadRequest)
	}
	if iq.Payload.Attr("node") != "" {
		return nil, stanza.NewError(stanza.ItemNotFound)
	}
	return xmltree.New(nsDiscoItems, "query"), nil
}
