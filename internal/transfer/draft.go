package transfer

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
)

// draftPayload is the transport secret as the JET draft of 2017-09 has it in the
// envelope, `128BitKey::96BitIV` or `256BitKey::96BitIV`: the bytes, or for its one
// shipping user, aTalk, their base64 as the text of a message.
func draftPayload(ts *crypto.Secret, as client) []byte {
	raw := ts.Serialize()
	if as != aTalk {
		return raw
	}
	defer clear(raw)
	return base64.StdEncoding.AppendEncode(nil, raw)
}

// dress makes c an offer in a form of other clients: the envelope, and the file
// for all to see.
func (o *offering) dress(ctx context.Context, t *conversation, c *jingle.Content) (env *omemo.Envelope, err error) {
	if o.form == formInsecurePlaintext {
		o.undress(t)
		return &omemo.Envelope{}, nil
	}
	ts, to := t.ts, o.to.JID
	if o.form == formDraft {
		payload := draftPayload(ts, o.to.Software)
		env, err = o.e.omemo.WrapPayload(ctx, o.e.sess, to, payload, omemo.Renewed)
		clear(payload)
	} else {
		env, err = o.e.omemo.WrapKey(ctx, o.e.sess, to, ts, omemo.Renewed)
	}
	if err != nil {
		return nil, err
	}
	if o.opt.Encryption == EncryptionAuto { // what was really wrapped decides
		if err := o.e.guardKeys(ctx, to.Bare(), env.Devices, o.form); err != nil {
			return nil, err
		}
	}
	cipher := ts.Suite().ShortURN() // Dino and Conversations take no other
	switch o.form {
	case formEncryptedFile:
		c.Description, c.SendersOmitted = o.encryptedFile(env), true
		return env, nil
	case formConversations:
		c.Description = o.conversationsFile(env)
		return env, nil
	case formDraft:
		cipher = ts.Suite().URN()
	}
	c.Description = jingle.Description(o.publicFile())
	c.Security = (&jingle.Security{Name: c.Name, Cipher: cipher, Type: envelopeType, Envelope: env.Element}).Element()
	return env, nil
}

// paths are the ways that the bytes may take in the form of the offer and with the
// client: Conversations before 2.5.3 answers an in-band offer with SOCKS5, and takes
// in-band only after that has failed; Libervia does not see the end of an empty file
// over SOCKS5, and leaves the session open.
func (o *offering) paths() (RouteOptions, error) {
	r := o.opt.Route
	var first, why string
	switch {
	case o.form == formConversations:
		first, why = S5B, "Conversations before 2.5.8 takes in-band only after SOCKS5 has failed"
	case o.to.Software == libervia && o.src.Size == 0:
		first, why = IBB, "Libervia takes an empty file in-band alone"
	default:
		return r, nil
	}
	order := slices.Clone(r.Order())
	i := slices.Index(order, first)
	if i < 0 {
		return r, fmt.Errorf("%w: %s", errNoTransport, why)
	}
	r.Transports = slices.Insert(slices.Delete(order, i, i+1), 0, first)
	return r, nil
}
