package transfer

import (
	"strings"

	"jetsend/internal/crypto"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/profile"
)

const maxBatch = profile.MaxBatch

func testOffer() *offer {
	return &offer{
		Transfer: "0b6f3e53-6fd5-4e5e-9b7c-3a2f3c1d4e5f", SID: "s1", Content: "file", Senders: "initiator",
		Cipher: crypto.AES256GCM.URN(), Initiator: jid.MustParse("romeo@jet.test/a"), Responder: jid.MustParse("juliet@jet.test/b"),
		Device: 4711, Digest: strings.Repeat("0", 64), File: &jingle.File{Name: "f", Size: 12},
	}
}
