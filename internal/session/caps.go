package session

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"

	"jetsend/internal/xmltree"
)

// Entity capabilities, XEP-0115 version 1.5 and later.
const (
	nsCaps     = "http://jabber.org/protocol/caps"
	nsDataForm = "jabber:x:data"
	capsHash   = "sha-1"

	// CapsNode names this software in a presence (XEP-0115); with "#" and the hash it is
	// a disco node.
	CapsNode = "urn:jetsend"
)

// ownCaps is what we advertise.
type ownCaps struct {
	info DiscoInfo
	ver  string
}

func newOwnCaps(id Identity, features []string) *ownCaps {
	f := append([]string{nsDiscoInfo, nsCaps, nsPing}, features...)
	slices.Sort(f)
	o := &ownCaps{info: DiscoInfo{Identities: []Identity{id}, Features: slices.Compact(f)}}
	o.ver = hashCaps(verification(&o.info))
	return o
}

// SetFeatures changes what we advertise, in the place of Config.Features. The contacts
// who see us online are told by a presence with the new capabilities (XEP-0115 section 6.1).
func (s *Session) SetFeatures(ctx context.Context, features []string) error {
	next := newOwnCaps(s.cfg.Identity, features)
	if before := s.caps.Swap(next); before.ver == next.ver {
		return nil
	}
	s.mu.Lock()
	shown := (s.visible || !s.cfg.Hidden) && s.bound != nil
	s.mu.Unlock()
	if !shown { // they come with the next initial presence
		return nil
	}
	return s.send(ctx, s.initialPresence(), controlPriority)
}

func (o *ownCaps) fullNode() string { return CapsNode + "#" + o.ver }

// element is the annotation for our presence.
func (o *ownCaps) element() *xmltree.Element {
	return xmltree.New(nsCaps, "c").Set("hash", capsHash).Set("node", CapsNode).Set("ver", o.ver)
}

// query is our disco#info.
func (o *ownCaps) query() *xmltree.Element {
	q := xmltree.New(nsDiscoInfo, "query")
	for _, id := range o.info.Identities {
		q.Add(xmltree.New(nsDiscoInfo, "identity").Set("category", id.Category).Set("type", id.Type).Set("name", id.Name))
	}
	for _, f := range o.info.Features {
		q.Add(xmltree.New(nsDiscoInfo, "feature").Set("var", f))
	}
	return q
}

func hashCaps(s string) string {
	h := sha1.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// errIllFormed: capabilities whose string could be that of others too
// (XEP-0115 section 5.4 item 3).
var errIllFormed = errors.New("ill-formed capabilities")

// verification returns the string to be hashed (XEP-0115 section 5.1).
func verification(d *DiscoInfo) string {
	var b strings.Builder
	ids := make([]string, 0, len(d.Identities))
	for _, id := range d.Identities {
		ids = append(ids, id.Category+"/"+id.Type+"/"+id.Lang+"/"+id.Name)
	}
	put := func(items []string) {
		slices.Sort(items)
		for _, it := range items {
			b.WriteString(it + "<")
		}
	}
	put(ids)
	put(slices.Clone(d.Features))
	forms := make([]form, 0, len(d.Forms))
	for _, x := range d.Forms {
		if f := parseForm(x); f.typ != "" {
			forms = append(forms, f)
		}
	}
	slices.SortFunc(forms, func(a, b form) int { return strings.Compare(a.typ, b.typ) })
	for _, f := range forms {
		b.WriteString(f.typ + "<")
		slices.SortFunc(f.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
		for _, fd := range f.fields {
			b.WriteString(fd.name + "<")
			put(fd.values)
		}
	}
	return b.String()
}

// form is a data form of a disco answer (XEP-0128).
type form struct {
	typ      string // FORM_TYPE; "" is to be ignored
	multiple bool   // FORM_TYPE has different values
	fields   []field
}

type field struct {
	name   string
	values []string
}

func parseForm(x *xmltree.Element) form {
	var f form
	for _, el := range x.All(nsDataForm, "field") {
		fd := field{name: el.Attr("var")}
		for _, v := range el.All(nsDataForm, "value") {
			fd.values = append(fd.values, v.Text)
		}
		if fd.name != "FORM_TYPE" {
			f.fields = append(f.fields, fd)
			continue
		}
		if el.Attr("type") == "hidden" && len(fd.values) > 0 {
			f.multiple = len(slices.Compact(slices.Clone(fd.values))) > 1
			f.typ = fd.values[0]
		}
	}
	return f
}

// verify checks that d is what ver is the hash of, and nothing else could be.
func verify(d *DiscoInfo, ver string) error {
	if hashCaps(verification(d)) != ver {
		return errors.New("capabilities do not match their hash")
	}
	identity := func(id Identity) string { return id.Category + id.Type + id.Lang + id.Name }
	feature := func(f string) string { return f }
	if !wellFormed(d.Identities, identity) || !wellFormed(d.Features, feature) || !wellFormedForms(d.Forms) {
		return errIllFormed
	}
	return nil
}

// wellFormed reports whether no two of the list are the same, and none has what separates
// them in the hash.
func wellFormed[T comparable](list []T, text func(T) string) bool {
	seen := map[T]bool{}
	for _, v := range list {
		if seen[v] || strings.ContainsRune(text(v), '<') {
			return false
		}
		seen[v] = true
	}
	return true
}

// wellFormedForms is wellFormed for forms, of which no two may have the same type.
func wellFormedForms(forms []*xmltree.Element) bool {
	types := map[string]bool{}
	for _, x := range forms {
		f := parseForm(x)
		if f.typ != "" && (types[f.typ] || f.multiple) {
			return false
		}
		types[f.typ] = true
		for _, fd := range f.fields {
			if strings.ContainsRune(fd.name+strings.Join(fd.values, ""), '<') {
				return false
			}
		}
	}
	return true
}

// capsCache holds verified capabilities by hash.
type capsCache struct {
	mu    sync.Mutex
	byVer map[string]*DiscoInfo
}

func (c *capsCache) get(caps Caps) *DiscoInfo {
	if caps.Hash != capsHash || caps.Ver == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byVer[caps.Ver]
}

// put keeps d, if caps is the hash of it, and reports whether it is.
func (c *capsCache) put(caps Caps, d *DiscoInfo) bool {
	if caps.Hash != capsHash || len(verification(d)) > maxCapsEntry || verify(d, caps.Ver) != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byVer) >= maxCapsCache {
		for ver := range c.byVer { // any one: it is asked for again when needed
			delete(c.byVer, ver)
			break
		}
	}
	if c.byVer == nil {
		c.byVer = map[string]*DiscoInfo{}
	}
	c.byVer[caps.Ver] = d
	return true
}
