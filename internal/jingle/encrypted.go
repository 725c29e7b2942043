package jingle

import (
	"encoding/hex"
	"fmt"

	"jetsend/internal/xmltree"
)

// The name spaces that the encrypted file element is written in.
const (
	// nsOMEMO0 is that of the <encrypted/>, and of the <file/> in it.
	nsOMEMO0 = "urn:xmpp:omemo:0"
	// nsHashes1 is that of the hashes.
	nsHashes1 = "urn:xmpp:hashes:1"
)

// EncryptedFile is the description of an encrypted file as the ProtoXEP "OMEMO
// Encrypted Jingle File Transfer" of 2015 has it, section "Use Cases": the
// header of an OMEMO key transport, and beside it, in the clear, the file.
type EncryptedFile struct {
	// Envelope is the <encrypted/> with its header alone.
	Envelope *xmltree.Element
	// File has the size of the encrypted file, in bytes (section "Business
	// Rules"). Its hashes are those of the encrypted file, too.
	File *File
}

// Element returns the <description/>. The envelope may be of any name space of
// OMEMO; on the wire it has that of the document. Algorithms in HashUsed are
// written as an empty <hash/>.
func (f *EncryptedFile) Element() *xmltree.Element {
	file := *f.File
	file.Hashes, file.HashUsed = nil, nil
	e := respaced(file.Element(), NSFile, nsOMEMO0)
	for _, h := range f.File.Hashes {
		e.Add(hexHash(h))
	}
	for _, algo := range f.File.HashUsed {
		e.Add(xmltree.New(nsHashes1, "hash").Set("algo", algo))
	}
	enc := respaced(f.Envelope, f.Envelope.Name.Space, nsOMEMO0)
	return xmltree.New(NSEncryptedFile, "description", enc.Add(e))
}

// ParseEncryptedFile reads the description. Its envelope may have the name
// space of the document or the one called omemo, in which it is returned.
func ParseEncryptedFile(e *xmltree.Element, omemo string) (*EncryptedFile, error) {
	enc := e.All("", "encrypted")
	if !e.Is(NSEncryptedFile, "description") || len(enc) != 1 {
		return nil, fmt.Errorf("encrypted file description: %w", ErrMalformed)
	}
	space := enc[0].Name.Space
	files := enc[0].All("", "file")
	if space != nsOMEMO0 && space != omemo || len(files) != 1 {
		return nil, fmt.Errorf("encrypted file: %w", ErrMalformed)
	}
	file, err := ParseFile(files[0])
	if err != nil {
		return nil, fmt.Errorf("encrypted file: %w", err)
	}
	envelope := xmltree.New(space, "encrypted")
	for _, c := range enc[0].Children {
		if c != files[0] {
			envelope.Add(c)
		}
	}
	return &EncryptedFile{Envelope: respaced(envelope, space, omemo), File: file}, nil
}

// EnvelopeIn returns the <encrypted/> that Conversations before 2.5.8 puts into
// a <file/> of XEP-0234, nil when there is none. Its size is that of the
// encrypted file. More than one is malformed: two readers could take different
// ones.
func EnvelopeIn(f *File) (*xmltree.Element, error) {
	var found *xmltree.Element
	for _, e := range f.Extra {
		if e.Name.Local != "encrypted" {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("file with two envelopes: %w", ErrMalformed)
		}
		found = e
	}
	return found, nil
}

// EncryptedChecksum is the <checksum/> of a session-info about an encrypted
// file (section "Communicating the Checksum or Hashing Algorithm"): hashes of
// the encrypted file. It is not authenticated.
type EncryptedChecksum struct {
	// Hashes are those that [HashesIn] finds.
	Hashes []Hash
}

// Element returns the <checksum/>, the values in hex as the document has them.
func (c *EncryptedChecksum) Element() *xmltree.Element {
	file := xmltree.New(NSEncryptedFile, "file")
	for _, h := range c.Hashes {
		file.Add(hexHash(h))
	}
	return xmltree.New(NSEncryptedFile, "checksum", file)
}

// ParseEncryptedChecksum reads a <checksum/> with values in hex or base64.
func ParseEncryptedChecksum(e *xmltree.Element) (*EncryptedChecksum, error) {
	files := e.All("", "file")
	if !e.Is(NSEncryptedFile, "checksum") || len(files) != 1 {
		return nil, fmt.Errorf("checksum of an encrypted file: %w", ErrMalformed)
	}
	return &EncryptedChecksum{Hashes: HashesIn(files[0])}, nil
}

// hexHash is a hash as the document writes it.
func hexHash(h Hash) *xmltree.Element {
	return xmltree.New(nsHashes1, "hash").Set("algo", h.Algo).SetText(hex.EncodeToString(h.Value))
}

// respaced returns a copy of e with all elements of one name space in another.
func respaced(e *xmltree.Element, from, to string) *xmltree.Element {
	c := e.Clone()
	var walk func(*xmltree.Element)
	walk = func(x *xmltree.Element) {
		if x.Name.Space == from {
			x.Name.Space = to
		}
		for _, k := range x.Children {
			walk(k)
		}
	}
	walk(c)
	return c
}
