package dialect

import (
	"context"
	"encoding/base64"

	"jetsend/internal/crypto"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
)

// jet is XEP-0391 with the key transport of XEP-0396, as the live clients do it.
type jet struct{ foreign }

// Write implements Dialect.
func (j *jet) Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	env, err := j.wrapKey(ctx, w, p, t)
	if err != nil {
		return nil, err
	}
	content.Description = jingle.Description(j.describe(t))
	secure(content, j.ts.Suite().ShortURN(), env) // Dino and Conversations take no other
	return env, nil
}

// draft is the JET draft of 2017-09: the payload of the envelope is the secret.
type draft struct{ foreign }

// Write implements Dialect.
func (d *draft) Write(ctx context.Context, w Wrapper, p omemo.PEP, t Terms, content *jingle.Content) (*omemo.Envelope, error) {
	payload := draftPayload(d.ts, d.software)
	env, err := w.WrapPayload(ctx, p, t.Offer.Responder, payload, omemo.Renewed)
	clear(payload)
	if err != nil {
		return nil, err
	}
	content.Description = jingle.Description(d.describe(t))
	secure(content, d.ts.Suite().URN(), env)
	return env, nil
}

// draftPayload is the transport secret as the draft has it in the envelope,
// `128BitKey::96BitIV` or `256BitKey::96BitIV`: the bytes, or for its one shipping user,
// aTalk, their base64 as the text of a message.
func draftPayload(ts *crypto.Secret, to Software) []byte {
	raw := ts.Serialize()
	if to != ATalk {
		return raw
	}
	defer clear(raw)
	return base64.StdEncoding.AppendEncode(nil, raw)
}
