package transfer

import (
	"fmt"
	"slices"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/session"
)

// TestDescribe is the table "which form to which peer" of docs/protocol.md.
func TestDescribe(t *testing.T) {
	base := []string{jingle.NS, jingle.NSFile, s5b.NS, ibb.NSTransport}
	jet := append(slices.Clone(base), jingle.NSJET, nsJETOMEMO)
	for _, tt := range []struct {
		name, node string
		features   []string
		auto       form
		takes      []form
		client     client
	}{
		{"jetsend", "", append(slices.Clone(jet), jingle.NSEncryptedFile, NS), formJetsend, []form{formJetsend, formJET, formEncryptedFile, formDraft}, jetsend},
		{"Dino", "https://dino.im", jet, formJET, []form{formJET}, dino},
		{"Conversations 2.12.8", "http://conversations.im", jet, formJET, []form{formJET}, conversations},
		{"Conversations 2.5.7", "http://conversations.im", base, formNone, []form{formConversations}, conversations},
		{"Conversations 1.23.8", "http://conversations.im", base, formNone, []form{formConversations}, conversations1},
		{"", "http://conversations.im", base, formNone, []form{formConversations}, conversations},
		{"Conversations 1.8.0", "http://conversations.im", []string{jingle.NS, "urn:xmpp:jingle:apps:file-transfer:3", s5b.NS}, formNone, nil, conversations1},
		{"aTalk", "", append(slices.Clone(base), jingle.NSJET), formNone, []form{formDraft}, aTalk},
		{"Libervia", "", jet, formNone, nil, libervia},
		{"", "http://salut-a-toi.org", append(slices.Clone(jet), jingle.NSEncryptedFile), formNone, nil, libervia},
		{"Psi", "https://psi-im.org", base, formNone, nil, otherClient},
		{"Smack", "http://www.igniterealtime.org/projects/smack", base, formNone, nil, smack},
		{"Gajim", "https://gajim.org", base, formNone, nil, otherClient},
		{"of 2015", "", []string{jingle.NS, jingle.NSEncryptedFile, "urn:xmpp:jingle:apps:file-transfer:4", s5b.NS}, formEncryptedFile, []form{formEncryptedFile}, otherClient},
		{"both", "", append(slices.Clone(jet), jingle.NSEncryptedFile), formJET, []form{formJET, formEncryptedFile}, otherClient},
		{"no Jingle", "", []string{jingle.NSEncryptedFile, jingle.NSJET, nsJETOMEMO, NS, jingle.NSFile}, formNone, nil, otherClient},
		{"no file transfer", "", []string{jingle.NS, jingle.NSJET, nsJETOMEMO}, formNone, nil, otherClient},
	} {
		t.Run(tt.name+tt.node, func(t *testing.T) {
			info := &session.DiscoInfo{Identities: []session.Identity{{Category: "client", Name: tt.name}}, Features: tt.features}
			p := describe(jid.MustParse("juliet@jet.test/x"), info, session.Caps{Node: tt.node})
			takes := slices.Clone(tt.takes)
			if info.Has(jingle.NS) && info.Has(jingle.NSFile) {
				takes = append(takes, formInsecurePlaintext) // by the user's word alone
			}
			if p.form != tt.auto || !slices.Equal(p.takes, takes) || p.client != tt.client {
				t.Errorf("form %d, takes %v, client %d", p.form, p.takes, p.client)
			}
			if p.client == dino && slices.Contains(p.transports, IBB) {
				t.Error("Dino is offered in-band")
			}
		})
	}
}

// TestSizeLimits: what a client cannot count is refused with 7, one byte less is not.
func TestSizeLimits(t *testing.T) {
	for _, tt := range []struct {
		client client
		form   form
		most   int64
	}{
		{dino, formJET, 1<<32 - 1},
		{conversations1, formConversations, 1<<31 - 1 - crypto.TagSize},
		{conversations, formConversations, 64<<30 - 32},
		{conversations, formJET, 64<<30 - 32},
		{aTalk, formDraft, 1<<31 - 1},
		{otherClient, formJET, 64<<30 - 32},
		{otherClient, formEncryptedFile, 64<<30 - 32},
		{otherClient, formDraft, 64<<30 - 32},
		{dino, formInsecurePlaintext, 1<<32 - 1},
		{conversations1, formInsecurePlaintext, 1<<31 - 1},
		{aTalk, formInsecurePlaintext, 1<<31 - 1},
		{smack, formInsecurePlaintext, 1<<31 - 1},
		{otherClient, formInsecurePlaintext, 64<<30 - 32},
	} {
		p := peer{jid: jid.MustParse("juliet@jet.test/x"), form: tt.form, client: tt.client}
		what := fmt.Sprintf("client %d, form %d", tt.client, tt.form)
		if err := p.check(SendOptions{}, []*source{{Size: tt.most}}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		wantCode(t, p.check(SendOptions{}, []*source{{Size: tt.most + 1}}), exitcode.Incapable)
	}
	// Between jetsends the next session goes on where one may not.
	p := peer{jid: jid.MustParse("juliet@jet.test/x"), form: formJetsend}
	if err := p.check(SendOptions{}, []*source{{Size: 64<<30 - 31}}); err != nil {
		t.Errorf("a jetsend: %v", err)
	}
}

// TestSuites: the ciphers of each form, and what --cipher makes of them.
func TestSuites(t *testing.T) {
	for _, tt := range []struct {
		form   form
		cipher string
		want   string
		ok     bool
	}{
		{formJetsend, "", "aes-256-gcm", true}, {formJetsend, "aes-128-gcm", "aes-256-gcm", false},
		{formJET, "", "aes-128-gcm", true}, {formJET, "aes-256-gcm", "aes-128-gcm", false},
		{formDraft, "", "aes-256-gcm", true}, {formDraft, "aes-256-gcm", "aes-256-gcm", true}, {formDraft, "aes-128-gcm", "aes-128-gcm", true},
		{formEncryptedFile, "", "aes-128-gcm", true}, {formEncryptedFile, "aes-256-gcm", "aes-128-gcm", false},
		{formConversations, "aes-128-gcm", "aes-128-gcm", true},
		{formInsecurePlaintext, "", "", true}, {formInsecurePlaintext, "aes-128-gcm", "", false},
	} {
		opt := SendOptions{Cipher: tt.cipher}
		if got := tt.form.Suite(opt.Cipher).Name(); got != tt.want {
			t.Errorf("form %d with %q: %s", tt.form, tt.cipher, got)
		}
		p := peer{jid: jid.MustParse("juliet@jet.test/x"), form: tt.form}
		if err := p.check(opt, nil); (err == nil) != tt.ok {
			t.Errorf("form %d with %q: %v", tt.form, tt.cipher, err)
		}
	}
}

// TestFeatures: a receiver says what it knows, and which transports it allows; nothing
// else says it.
func TestFeatures(t *testing.T) {
	base := []string{"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/caps", "urn:xmpp:ping", "eu.siacs.conversations.axolotl.devicelist+notify"}
	receiver := append(slices.Clone(base),
		"urn:xmpp:jingle:1", "urn:xmpp:jingle:apps:file-transfer:5",
		"urn:xmpp:jingle:jet:0", "urn:xmpp:jingle:jet-omemo:0", "urn:xmpp:jingle:apps:encrypted:file-transfer:0", "urn:xmpp:hashes:2",
		"urn:xmpp:hash-function-text-names:sha-256", "jetsend:1")
	const socks, inBand = "urn:xmpp:jingle:transports:s5b:1", "urn:xmpp:jingle:transports:ibb:1"
	for _, tt := range []struct {
		receives bool
		route    RouteOptions
		want     []string
	}{
		{false, RouteOptions{}, base},
		{false, RouteOptions{Transports: []string{IBB}}, base},
		{true, RouteOptions{}, append(slices.Clone(receiver), socks, inBand)},
		{true, RouteOptions{NoDirect: true}, append(slices.Clone(receiver), socks, inBand)},
		{true, RouteOptions{Transports: []string{IBB, S5B}}, append(slices.Clone(receiver), socks, inBand)},
		{true, RouteOptions{Transports: []string{IBB}}, append(slices.Clone(receiver), inBand)},
		{true, RouteOptions{Transports: []string{S5B}}, append(slices.Clone(receiver), socks)},
	} {
		got := features(tt.receives, tt.route)
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
