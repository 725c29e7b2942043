package dialect

import (
	"encoding/base64"
	"errors"
	"fmt"

	"jetsend/internal/crypto"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
)

// Open is the dialect of the session s, which a contact opened, by what its envelope
// holds (docs/protocol.md); anything that fits no form is refused. Our profile is held
// against the stanza. Errors are profile.ErrOffer, and a *fault.Refusal of a set that is
// not taken; the owner of opened clears it.
func (in Clear) Open(s profile.Session, opened *omemo.Opened) (Dialect, error) {
	d, err := in.tell(opened)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", profile.ErrOffer, err)
	}
	if !d.Form().Seals() {
		return d, nil
	}
	err = d.Sealed().Check(s, in.Security, opened.Device.ID, in.File)
	if err == nil && d.Sealed().Set != nil && !in.Sets {
		err = notTaken()
	}
	if err != nil {
		d.Secret().Wipe()
		return nil, err
	}
	return d, nil
}

// tell finds out what kind of envelope was opened.
func (in Clear) tell(o *omemo.Opened) (Dialect, error) {
	b := foreign{form: in.Form, file: in.File}
	if in.Form == FormEncryptedFile || in.Form == FormConversations {
		return in.tellEncryptedFile(b, o)
	}
	if in.Security.Cipher == profile.NSSet || o.HasPayload && profile.HoldsOffer(o.Payload) {
		return in.tellSealed(b, o)
	}
	suite, err := crypto.ParseSuite(in.Security.Cipher)
	if err != nil {
		return nil, err
	}
	if !o.HasPayload || string(o.Payload) == " " { // XEP-0396; Libervia adds the encryption of one space
		if o.HasPayload {
			b.software = Libervia
		}
		b.ts, err = keyTransport(suite, o)
		return &jet{b}, err
	}
	b.form = FormDraft
	b.ts, err = draftSecret(suite, o.Payload)
	return &draft{b}, err
}

// tellEncryptedFile reads the envelope of a form that has it in the file.
func (in Clear) tellEncryptedFile(b foreign, o *omemo.Opened) (_ Dialect, err error) {
	if o.HasPayload {
		return nil, errors.New("a key transport with a payload")
	}
	if b.ts, err = keyTransport(crypto.AES128GCM, o); err != nil {
		return nil, err
	}
	if in.Form == FormConversations {
		return &conversations{b}, nil
	}
	return &encryptedFile{b, newWireSum(in.File)}, nil
}

// tellSealed reads the envelope of our profile, that of a set or of a file.
func (in Clear) tellSealed(b foreign, o *omemo.Opened) (Dialect, error) {
	suite, many := crypto.AES256GCM, in.Security.Cipher == profile.NSSet
	if !many {
		var err error
		if suite, err = crypto.ParseSuite(in.Security.Cipher); err != nil {
			return nil, err
		}
	}
	ts, offer, err := profile.ParsePayload(suite, o.Payload)
	if err != nil {
		return nil, err
	}
	b.form, b.ts, b.offer = FormJetsend, ts, *offer
	switch {
	case many != (offer.Set != nil):
		ts.Wipe()
		return nil, errSet
	case many:
		return openSet(b, o.Payload), nil
	}
	return &jetsend{b}, nil
}

// keyTransport takes the transport key out of the ratchet message itself: the
// first 16 bytes, whether or not a tag follows them.
func keyTransport(suite crypto.Suite, o *omemo.Opened) (*crypto.Secret, error) {
	if suite != crypto.AES128GCM {
		return nil, fmt.Errorf("a key transport for %s", suite.Name())
	}
	if len(o.Key) < suite.KeySize() {
		return nil, fmt.Errorf("a key of %d bytes", len(o.Key))
	}
	return crypto.SecretFrom(suite, o.Key[:suite.KeySize()], o.IV)
}

// draftSecret reads the serialised secret of the draft of 2017, raw or as the
// base64 text that its one shipping user makes of it.
func draftSecret(suite crypto.Suite, payload []byte) (*crypto.Secret, error) {
	ts, err := crypto.ParseSecret(suite, payload)
	if err == nil {
		return ts, nil
	}
	raw, berr := base64.StdEncoding.DecodeString(string(payload))
	if berr != nil {
		return nil, err
	}
	defer clear(raw)
	return crypto.ParseSecret(suite, raw)
}
