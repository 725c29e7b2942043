package contact

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/session"
)

// TestDescribe is the table "which form to which peer" of docs/protocol.md.
func TestDescribe(t *testing.T) {
	base := []string{jingle.NS, jingle.NSFile, s5b.NS, ibb.NSTransport}
	jet := append(slices.Clone(base), jingle.NSJET, NSJETOMEMO)
	for _, tt := range []struct {
		name, node string
		features   []string
		auto       dialect.Form
		takes      []dialect.Form
		client     dialect.Software
	}{
		{"jetsend", "", append(slices.Clone(jet), jingle.NSEncryptedFile, dialect.WordJetsend), dialect.FormJetsend, []dialect.Form{dialect.FormJetsend, dialect.FormJET, dialect.FormEncryptedFile, dialect.FormDraft}, dialect.Jetsend},
		{"Dino", "https://dino.im", jet, dialect.FormJET, []dialect.Form{dialect.FormJET}, dialect.Dino},
		{"Conversations 2.12.8", "http://conversations.im", jet, dialect.FormJET, []dialect.Form{dialect.FormJET}, dialect.Conversations},
		{"Conversations 2.5.7", "http://conversations.im", base, dialect.FormNone, []dialect.Form{dialect.FormConversations}, dialect.Conversations},
		{"Conversations 1.23.8", "http://conversations.im", base, dialect.FormNone, []dialect.Form{dialect.FormConversations}, dialect.Conversations1},
		{"", "http://conversations.im", base, dialect.FormNone, []dialect.Form{dialect.FormConversations}, dialect.Conversations},
		{"Conversations 1.8.0", "http://conversations.im", []string{jingle.NS, "urn:xmpp:jingle:apps:file-transfer:3", s5b.NS}, dialect.FormNone, nil, dialect.Conversations1},
		{"aTalk", "", append(slices.Clone(base), jingle.NSJET), dialect.FormNone, []dialect.Form{dialect.FormDraft}, dialect.ATalk},
		{"Libervia", "", jet, dialect.FormNone, nil, dialect.Libervia},
		{"", "http://salut-a-toi.org", append(slices.Clone(jet), jingle.NSEncryptedFile), dialect.FormNone, nil, dialect.Libervia},
		{"Psi", "https://psi-im.org", base, dialect.FormNone, nil, dialect.OtherClient},
		{"Smack", "http://www.igniterealtime.org/projects/smack", base, dialect.FormNone, nil, dialect.Smack},
		{"Gajim", "https://gajim.org", base, dialect.FormNone, nil, dialect.OtherClient},
		{"of 2015", "", []string{jingle.NS, jingle.NSEncryptedFile, "urn:xmpp:jingle:apps:file-transfer:4", s5b.NS}, dialect.FormEncryptedFile, []dialect.Form{dialect.FormEncryptedFile}, dialect.OtherClient},
		{"both", "", append(slices.Clone(jet), jingle.NSEncryptedFile), dialect.FormJET, []dialect.Form{dialect.FormJET, dialect.FormEncryptedFile}, dialect.OtherClient},
		{"no Jingle", "", []string{jingle.NSEncryptedFile, jingle.NSJET, NSJETOMEMO, dialect.WordJetsend, jingle.NSFile}, dialect.FormNone, nil, dialect.OtherClient},
		{"no file transfer", "", []string{jingle.NS, jingle.NSJET, NSJETOMEMO}, dialect.FormNone, nil, dialect.OtherClient},
	} {
		t.Run(tt.name+tt.node, func(t *testing.T) {
			info := &session.DiscoInfo{Identities: []session.Identity{{Category: "client", Name: tt.name}}, Features: tt.features}
			p := Describe(jid.MustParse("juliet@jet.test/x"), info, session.Caps{Node: tt.node})
			takes := slices.Clone(tt.takes)
			if info.Has(jingle.NS) && info.Has(jingle.NSFile) {
				takes = append(takes, dialect.FormPlaintext) // by the user's word alone
			}
			if p.Form != tt.auto || !slices.Equal(p.Takes, takes) || p.Software != tt.client {
				t.Errorf("form %d, takes %v, client %d", p.Form, p.Takes, p.Software)
			}
			if p.Software == dialect.Dino && slices.Contains(p.Transports, ibb.Name) {
				t.Error("Dino is offered in-band")
			}
		})
	}
}

// TestSizeLimits: what a client cannot count is refused with 7, one byte less is not.
func TestSizeLimits(t *testing.T) {
	for _, tt := range []struct {
		client dialect.Software
		form   dialect.Form
		most   int64
	}{
		{dialect.Dino, dialect.FormJET, 1<<32 - 1},
		{dialect.Conversations1, dialect.FormConversations, 1<<31 - 1 - crypto.TagSize},
		{dialect.Conversations, dialect.FormConversations, 64<<30 - 32},
		{dialect.Conversations, dialect.FormJET, 64<<30 - 32},
		{dialect.ATalk, dialect.FormDraft, 1<<31 - 1},
		{dialect.OtherClient, dialect.FormJET, 64<<30 - 32},
		{dialect.OtherClient, dialect.FormEncryptedFile, 64<<30 - 32},
		{dialect.OtherClient, dialect.FormDraft, 64<<30 - 32},
		{dialect.Dino, dialect.FormPlaintext, 1<<32 - 1},
		{dialect.Conversations1, dialect.FormPlaintext, 1<<31 - 1},
		{dialect.ATalk, dialect.FormPlaintext, 1<<31 - 1},
		{dialect.Smack, dialect.FormPlaintext, 1<<31 - 1},
		{dialect.OtherClient, dialect.FormPlaintext, 64<<30 - 32},
	} {
		p := Peer{JID: jid.MustParse("juliet@jet.test/x"), Form: tt.form, Software: tt.client}
		what := fmt.Sprintf("client %d, form %d", tt.client, tt.form)
		if err := p.CheckSize("f", tt.most); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		var no *fault.Failure
		if err := p.CheckSize("f", tt.most+1); !errors.As(err, &no) || no.Code != exitcode.Incapable {
			t.Errorf("%s, a byte more: %v", what, err)
		}
	}
	// Between jetsends the next session goes on where one may not.
	p := Peer{JID: jid.MustParse("juliet@jet.test/x"), Form: dialect.FormJetsend}
	if err := p.CheckSize("f", 64<<30-31); err != nil {
		t.Errorf("a jetsend: %v", err)
	}
}

// TestSuites: the ciphers of each form, and what --cipher makes of them.
func TestSuites(t *testing.T) {
	for _, tt := range []struct {
		form   dialect.Form
		cipher string
		want   string
		ok     bool
	}{
		{dialect.FormJetsend, "", "aes-256-gcm", true}, {dialect.FormJetsend, "aes-128-gcm", "aes-256-gcm", false},
		{dialect.FormJET, "", "aes-128-gcm", true}, {dialect.FormJET, "aes-256-gcm", "aes-128-gcm", false},
		{dialect.FormDraft, "", "aes-256-gcm", true}, {dialect.FormDraft, "aes-256-gcm", "aes-256-gcm", true}, {dialect.FormDraft, "aes-128-gcm", "aes-128-gcm", true},
		{dialect.FormEncryptedFile, "", "aes-128-gcm", true}, {dialect.FormEncryptedFile, "aes-256-gcm", "aes-128-gcm", false},
		{dialect.FormConversations, "aes-128-gcm", "aes-128-gcm", true},
		{dialect.FormPlaintext, "", "", true}, {dialect.FormPlaintext, "aes-128-gcm", "", false},
	} {
		opt := Options{Cipher: tt.cipher}
		if got := tt.form.Suite(opt.Cipher).Name(); got != tt.want {
			t.Errorf("form %d with %q: %s", tt.form, tt.cipher, got)
		}
		p := Peer{JID: jid.MustParse("juliet@jet.test/x"), Form: tt.form}
		if err := p.Check(opt); (err == nil) != tt.ok {
			t.Errorf("form %d with %q: %v", tt.form, tt.cipher, err)
		}
	}
}
