package dialect

import (
	"errors"
	"fmt"
	"slices"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/profile"
	"jetsend/internal/xmltree"
)

// ErrNotEncrypted means that there is no envelope anywhere in an offer.
var ErrNotEncrypted = fmt.Errorf("%w: the offer is not encrypted", fault.ErrDeclined)

// Clear is what the stanza of an offer says for all to see, whatever its form.
type Clear struct {
	// Form is as far as it shows: our profile and the draft look like JET.
	Form     Form
	File     *jingle.File // its size is that of the file, not of what encrypts it
	Security *jingle.Security
	// Sets is for the reader to set who takes sets: others are refused theirs.
	Sets bool
}

// Read reads an offer, or a request when the responder is the one that sends. Errors are
// of type *fault.Refusal. Of an offer that is refused with [ErrNotEncrypted] alone, File is
// read all the same: see [Clear.OpenPlaintext].
func Read(c jingle.Content, senders string) (in Clear, err error) {
	unsupported := jingle.Reason{Condition: jingle.UnsupportedApplications}
	if c.Senders != senders {
		return in, fault.Refuse(unreadable(errors.New("not a file offer")), unsupported)
	}
	switch {
	case c.Description.Is(jingle.NSFile, "description"):
		in.Form = FormJET
		in.File, err = jingle.ParseDescription(c.Description)
	case c.Description.Is(jingle.NSEncryptedFile, "description") && senders == jingle.SenderInitiator:
		in.Form = FormEncryptedFile
		err = in.readEncryptedFile(c)
	case slices.Contains(olderForms(), c.Description.Name.Space):
		return in, fault.Refuse(olderForm(c.Description.Name.Space), unsupported)
	default:
		err = errors.New("not a file offer")
	}
	if err == nil && in.Form == FormJET && in.File.Size < 0 && c.Security != nil && senders == jingle.SenderInitiator {
		in.File.Size = 0 // Dino and aTalk leave it out of an empty file; the tag shows whether it is one
	}
	switch {
	case err != nil:
	case in.File.Size < 0:
		err = errors.New("an offer without a size")
	case senders == jingle.SenderInitiator && in.File.Range != nil && in.File.Range.Offset != 0:
		err = errors.New("an offer of a part of a file")
	}
	if err != nil {
		return in, fault.Refuse(unreadable(err), unsupported)
	}
	if err = readTransport(c.Transport); err != nil {
		return in, fault.Refuse(unreadable(err), jingle.Reason{Condition: jingle.UnsupportedTransports})
	}
	if err = in.readEnvelope(c); err != nil {
		return in, fault.Refuse(err, jingle.Reason{Condition: jingle.SecurityError})
	}
	if in.Form == FormJET {
		return in, nil
	}
	if in.File.Size -= crypto.TagSize; in.File.Size < 0 {
		return in, fault.Refuse(unreadable(errors.New("an encrypted file without room for its tag")), unsupported)
	}
	return in, nil
}

// unreadable is the failure of an offer that the contact's client makes in a way that is
// not known here.
func unreadable(err error) *fault.Failure {
	return &fault.Failure{
		Code: exitcode.Incapable, Reason: "the contact's client makes an offer that cannot be read here", Err: err,
		Hints: []string{"ask the contact to send it with another client, such as `jetsend send`"},
	}
}

// olderForms are the descriptions of XEP-0234 before version 0.18, in which Conversations
// offers to a client of which it does not know what it can do.
func olderForms() []string {
	return []string{"urn:xmpp:jingle:apps:file-transfer:3", "urn:xmpp:jingle:apps:file-transfer:4"}
}

// olderForm is the failure of an offer in one of them.
func olderForm(space string) *fault.Failure {
	return &fault.Failure{
		Code: exitcode.Incapable, Reason: "the contact's client offers the file in an older form (" + space + ") that is not known here",
		Hints: []string{"ask the contact to send it again: its client may not have known yet what this one can do; if that does not help, it has to be updated"},
	}
}

// readTransport refuses a transport that nobody could answer.
func readTransport(x *xmltree.Element) (err error) {
	switch {
	case x.Is(s5b.NS, "transport"):
		_, err = s5b.ParseTransport(x)
	case x.Is(ibb.NSTransport, "transport"):
		_, err = ibb.ParseTransport(x)
	default:
		return errors.New("unknown transport")
	}
	if err == nil && x.Attr("sid") == "" {
		err = errors.New("a transport without a stream id")
	}
	return err
}

// readEncryptedFile reads the description of the ProtoXEP.
func (in *Clear) readEncryptedFile(c jingle.Content) error {
	f, err := jingle.ParseEncryptedFile(c.Description, envelopeType)
	if err != nil {
		return err
	}
	in.File = f.File
	in.Security = &jingle.Security{Name: c.Name, Cipher: crypto.AES128GCM.URN(), Type: envelopeType, Envelope: f.Envelope}
	return nil
}

// readEnvelope finds the one envelope of the offer: in the <security/>, in the
// encrypted file element, or where Conversations before 2.5.8 puts it. Two of
// them are refused: readers could take different ones.
func (in *Clear) readEnvelope(c jingle.Content) error {
	inFile, err := jingle.EnvelopeIn(in.File)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", profile.ErrOffer, err)
	case inFile != nil && (in.Security != nil || c.Security != nil), in.Security != nil && c.Security != nil:
		return fmt.Errorf("%w: two envelopes", profile.ErrOffer)
	case inFile != nil:
		in.Form = FormConversations
		in.Security = &jingle.Security{Name: c.Name, Cipher: crypto.AES128GCM.URN(), Type: inFile.Name.Space, Envelope: inFile}
	case in.Security != nil:
	case c.Security == nil && (holdsEnvelope(c.Description) || slices.ContainsFunc(c.Extra, holdsEnvelope)):
		return fmt.Errorf("%w: an envelope out of its place", profile.ErrOffer)
	case c.Security == nil:
		return ErrNotEncrypted
	default:
		if in.Security, err = jingle.ParseSecurity(c.Security); err != nil {
			return fmt.Errorf("%w: %w", profile.ErrOffer, err)
		}
	}
	if in.Security.Type != envelopeType {
		return fmt.Errorf("%w: envelope type", profile.ErrOffer)
	}
	return nil
}

// holdsEnvelope reports whether anything in x calls itself an envelope. A file that a
// client encrypts in a way of its own must not be taken for a plain one.
func holdsEnvelope(x *xmltree.Element) bool {
	switch x.Name.Local {
	case "encrypted", "security":
		return true
	}
	return slices.ContainsFunc(x.Children, holdsEnvelope)
}
