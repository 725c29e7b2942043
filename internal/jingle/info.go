package jingle

import "jetsend/internal/xmltree"

// Checksum is the <checksum/> of a session-info (XEP-0234 section 8.1): the
// sender's hashes, once it knows them. It is not authenticated.
type Checksum struct {
	Name string // of the content, which is the initiator's
	File File   // only Hashes and Range are of interest
}

// Element returns the <checksum/>.
func (c *Checksum) Element() *xmltree.Element {
	return xmltree.New(NSFile, "checksum", c.File.Element()).
		Set("creator", SenderInitiator).
		Set("name", c.Name)
}

// knownInfo reports whether session-info payloads of that name space are handed
// to the owner of the session; all others are unsupported-info.
func knownInfo(space string) bool {
	return space == NSFile || space == NSEncryptedFile || space == NSJetsend
}
