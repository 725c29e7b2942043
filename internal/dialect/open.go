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
// against the stanza. Errors are profile.ErrOffer; the owner of opened clears it.
func (in Clear) Open(s profile.Session, opened *omemo.Opened) (Dialect, error) {
	d, err := in.tell(opened)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", profile.ErrOffer, err)
	}
	if j, ours := d.(*jetsend); ours {
		if err := j.offer.Check(s, in.Security, opened.Device.ID, in.File); err != nil {
			j.ts.Wipe()
			return nil, err
		}
	}
	return d, nil
}

// tell finds out what kind of envelope was opened.
func (in Clear) tell(o *omemo.Opened) (Dialect, error) {
	b := foreign{form: in.Form, file: in.File}
	var err error
	if in.Form == FormEncryptedFile || in.Form == FormConversations {
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
	suite, err := crypto.ParseSuite(in.Security.Cipher)
	if err != nil {
		return nil, err
	}
	switch {
	case !o.HasPayload, string(o.Payload) == " ": // XEP-0396; Libervia adds the encryption of one space
		if o.HasPayload {
			b.software = Libervia
		}
		b.ts, err = keyTransport(suite, o)
		return &jet{b}, err
	case profile.HoldsOffer(o.Payload):
		ts, offer, err := profile.ParsePayload(suite, o.Payload)
		if err != nil {
			return nil, err
		}
		b.form, b.ts, b.offer = FormJetsend, ts, *offer
		return &jetsend{b}, nil
	}
	b.form = FormDraft
	b.ts, err = draftSecret(suite, o.Payload)
	return &draft{b}, err
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
