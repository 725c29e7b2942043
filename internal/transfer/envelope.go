package transfer

import (
	"encoding/base64"
	"fmt"

	"jetsend/internal/crypto"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
)

// content is what an envelope held.
type content struct {
	ts         *crypto.Secret
	offer      *offer // of our profile, else nil
	encryption string
	libervia   bool // the envelope is of its variety
}

// tell finds out what kind of envelope was opened, by the rules of
// docs/protocol.md. Anything that fits none of them is refused.
func tell(o *omemo.Opened, cipherURN string) (c content, err error) {
	suite, err := crypto.ParseSuite(cipherURN)
	if err != nil {
		return c, fmt.Errorf("%w: %w", errOffer, err)
	}
	c.encryption = encryptionJET
	switch {
	case !o.HasPayload, string(o.Payload) == " ": // XEP-0396; Libervia adds the encryption of one space
		c.libervia = o.HasPayload
		c.ts, err = keyTransport(suite, o)
	case profile.HoldsOffer(o.Payload):
		c.ts, c.offer, err = profile.ParsePayload(suite, o.Payload)
	default:
		c.encryption = encryptionDraft
		c.ts, err = draftSecret(suite, o.Payload)
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", errOffer, err)
	}
	return c, nil
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
