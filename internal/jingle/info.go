package jingle

import (
	"fmt"

	"jetsend/internal/xmltree"
)

// Checksum is the <checksum/> of a session-info (XEP-0234 section 8.1): the
// sender's hashes, once it knows them. What the hash is of differs between
// clients; it is not authenticated.
type Checksum struct {
	Creator, Name string // the content; Conversations writes a name of its own
	File          File   // only Hashes and Range are of interest
}

// Element returns the <checksum/>.
func (c *Checksum) Element() *xmltree.Element {
	return xmltree.New(NSFile, "checksum", c.File.Element()).
		Set("creator", orInitiator(c.Creator)).
		Set("name", c.Name)
}

// ParseChecksum reads a <checksum/>.
func ParseChecksum(e *xmltree.Element) (*Checksum, error) {
	if !e.Is(NSFile, "checksum") {
		return nil, fmt.Errorf("checksum: %w", ErrMalformed)
	}
	f, err := ParseFile(e.Child("", "file"))
	if err != nil {
		return nil, fmt.Errorf("checksum: %w", err)
	}
	return &Checksum{Creator: orInitiator(e.Attr("creator")), Name: e.Attr("name"), File: *f}, nil
}

// Received is the <received/> of a session-info (XEP-0234 section 8.2): the
// receiver has the whole file, or so it says.
type Received struct {
	Creator, Name string
	Extra         []*xmltree.Element // children; XEP-0234 defines none
}

// Element returns the <received/>.
func (r *Received) Element() *xmltree.Element {
	return xmltree.New(NSFile, "received", r.Extra...).
		Set("creator", orInitiator(r.Creator)).
		Set("name", r.Name)
}

// ParseReceived reads a <received/>.
func ParseReceived(e *xmltree.Element) (*Received, error) {
	if !e.Is(NSFile, "received") {
		return nil, fmt.Errorf("received: %w", ErrMalformed)
	}
	return &Received{Creator: orInitiator(e.Attr("creator")), Name: e.Attr("name"), Extra: e.Children}, nil
}

// knownInfo tells whether session-info payloads of that name space are handed
// to the owner of the session; all others are unsupported-info.
func knownInfo(space string) bool {
	return space == NSFile || space == NSEncryptedFile || space == NSJetsend
}
