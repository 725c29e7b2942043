package profile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"jetsend/internal/set"
	"jetsend/internal/xmltree"
)

// NSSet is the disco feature of those who take sets: many files and folders in one
// session. In the place of a cipher it says that an offer is of one, so that a jetsend
// that knows no sets refuses it rather than take it for a file.
const NSSet = "jetsend:set:1"

const (
	// maxListed is how many of its arguments a sealed offer lists, for whoever is asked,
	// and maxListing is how many bytes of XML they may be together.
	maxListed  = 20
	maxListing = 4 << 10
)

// Set says in a sealed offer that the session carries many files, and in a request that
// it shall.
type Set struct {
	Items   int   // arguments of the one `send`
	Entries int64 // files, directories and links in all of them; 0: not known here
	Bytes   int64 // of all files together
	// Listed are the first of the items: of those that there are, as many as fit are told.
	Listed []Listed
}

// Listed is an item of a set, as far as it is told before anybody has said yes.
type Listed struct {
	Name      string
	Directory bool
	Bytes     int64
	Entries   int64 // of a directory; of a file 1
}

// The kinds of listed items.
const (
	listedFile      = "file"
	listedDirectory = "directory"
)

func (l *Listed) element() *xmltree.Element {
	kind := listedFile
	if l.Directory {
		kind = listedDirectory
	}
	return xmltree.New(NS, "item").Set("name", l.Name).Set("kind", kind).
		Set("bytes", strconv.FormatInt(l.Bytes, 10)).Set("entries", strconv.FormatInt(l.Entries, 10))
}

// AsListed is how the name of an item is listed: without the bytes that XML cannot hold.
func AsListed(name string) string {
	l := Listed{Name: strings.ToValidUTF8(name, "\uFFFD")}
	x, err := xmltree.Parse(l.element().Bytes())
	if err != nil { // not of what we have written
		return l.Name
	}
	return x.Attr("name")
}

func parseListed(x *xmltree.Element) (l Listed, err error) {
	l.Name = x.Attr("name")
	switch kind := x.Attr("kind"); kind {
	case listedFile:
	case listedDirectory:
		l.Directory = true
	default:
		return l, fmt.Errorf("an item of kind %.20q", kind)
	}
	err = errors.Join(countAttr(x, "bytes", &l.Bytes), countAttr(x, "entries", &l.Entries))
	if err == nil && l.Entries > set.MaxEntries {
		err = fmt.Errorf("an item of %d entries", l.Entries)
	}
	return l, err
}

// told are the items that fit into an offer, the first ones.
func (s *Set) told() (items []*xmltree.Element) {
	room := maxListing
	for _, l := range s.Listed[:min(len(s.Listed), maxListed)] {
		x := l.element()
		if room -= len(x.Bytes()); room < 0 {
			break
		}
		items = append(items, x)
	}
	return items
}

func (s *Set) element() *xmltree.Element {
	return xmltree.New(NS, "set", s.told()...).Set("items", strconv.Itoa(s.Items)).
		Set("entries", strconv.FormatInt(s.Entries, 10)).Set("bytes", strconv.FormatInt(s.Bytes, 10))
}

func parseSet(x *xmltree.Element) (*Set, error) {
	s := new(Set)
	var items int64
	err := errors.Join(countAttr(x, "items", &items), countAttr(x, "entries", &s.Entries), countAttr(x, "bytes", &s.Bytes))
	if err != nil {
		return nil, fmt.Errorf("set: %w", err)
	}
	listed := x.All(NS, "item")
	if items < 1 || items > set.MaxArguments || s.Entries > set.MaxEntries || int64(len(listed)) > items {
		return nil, fmt.Errorf("set: %d items, of which %d are listed, %d entries", items, len(listed), s.Entries)
	}
	s.Items = int(items)
	for _, i := range listed {
		l, err := parseListed(i)
		if err != nil {
			return nil, fmt.Errorf("set: %w", err)
		}
		s.Listed = append(s.Listed, l)
	}
	if n := len(s.told()); n < len(listed) {
		return nil, fmt.Errorf("set: %d items are listed, which is too much", len(listed))
	}
	return s, nil
}

// checkSet refuses what says that it is a set and something else.
func (o *Offer) checkSet() error {
	switch {
	case (o.Cipher == NSSet) != (o.Set != nil):
		return fmt.Errorf("cipher %.64q of a set or a file", o.Cipher)
	case o.Set == nil:
		return nil
	case o.File.Size != o.Set.Bytes:
		return fmt.Errorf("a set of %d bytes for a size of %d", o.Set.Bytes, o.File.Size)
	case o.Directory != nil, o.Batch != nil, o.Mode != 0, o.Restart, o.Prefix != "":
		return errors.New("a set that is also a file")
	}
	return nil
}
