package transfer

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/contact"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// formStage is two endpoints; romeo's stream goes through a tap that can lie.
type formStage struct {
	ends
	tap *xmpptest.Tap

	mu      sync.Mutex
	rewrite func(*xmltree.Element) // of every stanza to and from romeo
}

func newFormStage(t *testing.T) *formStage {
	t.Helper()
	s := prosody(t)
	st := &formStage{}
	st.tap = xmpptest.StartTap(t, s, func(_ xmpptest.Direction, raw []byte) [][]byte {
		st.mu.Lock()
		defer st.mu.Unlock()
		x, err := xmltree.Parse(raw)
		if err != nil {
			return [][]byte{raw}
		}
		before := x.String()
		if q := x.Child("http://jabber.org/protocol/disco#info", "query"); q != nil && strings.HasPrefix(x.Attr("from"), "juliet") {
			q.Add(xmltree.New(q.Name.Space, "feature").Set("var", "urn:example:0")) // fits no hash: it is asked for each time
		}
		if st.rewrite != nil {
			st.rewrite(x)
		}
		if x.String() == before {
			return [][]byte{raw}
		}
		return [][]byte{x.Append(nil, "")}
	})
	st.have(t, noise(100_001))
	st.meet(t, s, st.tap.Addr, false)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	// She is seen: what a short wait ends with is about her client, on a busy machine too.
	if err := st.romeo.sess.Appear(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return isOnline(st.romeo, st.juliet.sess.JID()) })
	return st
}

func (st *formStage) lie(rewrite func(*xmltree.Element)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.rewrite = rewrite
}

// expectsNoChecksum has juliet wait little for one that never comes.
func (st *formStage) expectsNoChecksum(t *testing.T) {
	t.Helper()
	waitIdle(t, st.juliet)
	before := st.juliet.timing.Checksum
	st.juliet.timing.Checksum = 50 * time.Millisecond
	t.Cleanup(func() {
		waitIdle(t, st.juliet)
		st.juliet.timing.Checksum = before
	})
}

// pretend makes juliet's client look like another one.
func (st *formStage) pretend(name string, hidden ...string) {
	st.lie(func(x *xmltree.Element) {
		q := x.Child("http://jabber.org/protocol/disco#info", "query")
		if q == nil || x.Attr("type") != "result" || !strings.HasPrefix(x.Attr("from"), "juliet") {
			return
		}
		kept := q.Children[:0]
		for _, c := range q.Children {
			if name != "" && c.Name.Local == "identity" {
				c.Set("name", name)
			}
			hide := false
			for _, f := range hidden {
				hide = hide || c.Attr("var") == f
			}
			if !hide {
				kept = append(kept, c)
			}
		}
		q.Children = kept
	})
}

func (st *formStage) send(t *testing.T, opt SendOptions) error {
	t.Helper()
	st.in.reset()
	st.out.reset()
	opt.To, opt.Files, opt.AnswerTimeout = jid.MustParse("juliet@jet.test"), []source.Named{{Path: st.path}}, time.Minute
	if opt.Wait == 0 {
		opt.Wait = 10 * time.Second
	}
	err := st.romeo.Send(t.Context(), opt)
	waitIdle(t, st.juliet)
	return err
}

// arrived fails unless exactly the file was received, and removes it.
func (st *formStage) arrived(t *testing.T) {
	t.Helper()
	st.whole(t)
	_ = os.Remove(filepath.Join(st.dir, "f"))
	st.nothing(t)
}

func (st *formStage) nothing(t *testing.T) {
	t.Helper()
	if entries, err := os.ReadDir(st.dir); err != nil || len(entries) > 0 {
		t.Fatalf("%v in the directory: %v", entries, err)
	}
}

// TestFormsBetweenJetsends: every form over either transport, asked for and,
// where the receiver has no better one, unasked.
func TestFormsBetweenJetsends(t *testing.T) {
	st := newFormStage(t)
	all := []string{profile.NS, contact.NSJETOMEMO, jingle.NSJET}
	for name, tt := range map[string]struct {
		how        dialect.Choice
		cipher     string
		name       string
		hidden     []string
		word, used string
		form       func(c *xmltree.Element) bool
	}{
		"jet":        {how: dialect.ChooseJET, word: "jet", used: "aes-128-gcm", form: literalJET("urn:xmpp:ciphers:aes-128-gcm-nopadding", false)},
		"draft":      {how: dialect.ChooseDraft, word: "jet-draft", used: "aes-256-gcm", form: literalJET("urn:xmpp:ciphers:aes-256-gcm-nopadding:0", true)},
		"draft, 128": {how: dialect.ChooseDraft, cipher: "aes-128-gcm", word: "jet-draft", used: "aes-128-gcm", form: literalJET("urn:xmpp:ciphers:aes-128-gcm-nopadding:0", true)},
		"draft to aTalk": {
			how: dialect.ChooseDraft, name: "aTalk", hidden: []string{profile.NS, contact.NSJETOMEMO}, word: "jet-draft", used: "aes-256-gcm",
		},
		"encrypted file":          {how: dialect.ChooseEncryptedFile, word: "encrypted-file", used: "aes-128-gcm", form: literalEncryptedFile},
		"encrypted file, unasked": {hidden: all, word: "encrypted-file", used: "aes-128-gcm", form: literalEncryptedFile},
		"encrypted file, by FT:4": {
			hidden: append(all, jingle.NSFile), word: "encrypted-file", used: "aes-128-gcm", form: literalEncryptedFile,
		},
		"in the file, as Conversations": {
			how: dialect.ChooseEncryptedFile, name: "Conversations 2.5.7", hidden: append(all, jingle.NSEncryptedFile), word: "encrypted-file", used: "aes-128-gcm",
			form: literalConversations,
		},
	} {
		for _, transport := range []string{route.S5B, route.IBB} {
			if transport == route.IBB && strings.Contains(name, "Conversations") {
				continue // TestConversationsPaths
			}
			t.Run(name+" "+transport, func(t *testing.T) {
				st.pretend(tt.name, tt.hidden...)
				defer st.lie(nil)
				seen := len(st.tap.Stanzas())
				err := st.send(t, SendOptions{Encryption: tt.how, Cipher: tt.cipher, Checksum: true, Route: route.Options{Transports: []string{transport}}})
				if err != nil {
					t.Fatal(err)
				}
				st.arrived(t)
				for who, e := range map[string]*events{"sender": &st.out, "receiver": &st.in} {
					if n, _ := last[event.Negotiated](e); n.Encryption != tt.word || n.Cipher != tt.used || n.Transport != transport {
						t.Errorf("%s: %+v", who, n)
					}
				}
				if sent, _ := last[event.Sent](&st.out); sent.VerifiedByPeer || sent.Size != int64(len(st.data)) {
					t.Errorf("%+v", sent)
				}
				if got, _ := last[event.Received](&st.in); got.Size != int64(len(st.data)) {
					t.Errorf("%+v", got)
				}
				found := tt.form == nil
				for _, s := range st.tap.Stanzas()[seen:] {
					if x, err := xmltree.Parse(s.Raw); err == nil && tt.form != nil {
						c := x.Child(jingle.NS, "jingle").Child(jingle.NS, "content")
						found = found || x.Child(jingle.NS, "jingle").Attr("action") == "session-initiate" && tt.form(c)
					}
				}
				if !found {
					t.Error("the offer is not in that form")
				}
			})
		}
	}
}

// literalJET reports whether the content is as XEP-0391 has it, with the name that
// Conversations insists on, and as its draft has it with a payload.
func literalJET(cipher string, payload bool) func(*xmltree.Element) bool {
	return func(c *xmltree.Element) bool {
		sec, file := c.Child(jingle.NSJET, "security"), c.Child(jingle.NSFile, "description").Child(jingle.NSFile, "file")
		enc := sec.Child(omemo.NS, "encrypted")
		return sec.Attr("name") == c.Attr("name") && sec.Attr("cipher") == cipher && sec.Attr("type") == omemo.NS && c.Attr("senders") == "initiator" &&
			(enc.Child(omemo.NS, "payload") != nil) == payload && file.Child(jingle.NSFile, "desc") != nil && file.ChildText(jingle.NSFile, "size") == "100001" &&
			file.Child(jingle.NSHashes, "hash") == nil && file.Child(jingle.NSHashes, "hash-used") != nil
	}
}

// literalEncryptedFile reports whether the content is that of the ProtoXEP.
func literalEncryptedFile(c *xmltree.Element) bool {
	enc := c.Child(jingle.NSEncryptedFile, "description").Child("urn:xmpp:omemo:0", "encrypted")
	head, file := enc.Child("urn:xmpp:omemo:0", "header"), enc.Child("urn:xmpp:omemo:0", "file")
	_, senders := c.LookupAttr("senders")
	hash := file.Child("urn:xmpp:hashes:1", "hash")
	return !senders && c.Child(jingle.NSJET, "security") == nil && len(enc.Children) == 2 && enc.Children[0] == head &&
		len(head.All("urn:xmpp:omemo:0", "key")) == 1 && file.ChildText("urn:xmpp:omemo:0", "size") == "100017" &&
		hash.Attr("algo") == "sha-256" && hash.Text == "" && len(head.ChildText("urn:xmpp:omemo:0", "iv")) == 16 &&
		enc.Child("urn:xmpp:omemo:0", "payload") == nil && file.Child("urn:xmpp:omemo:0", "desc") != nil
}

// literalConversations reports whether it is what Conversations before 2.5.8 writes.
func literalConversations(c *xmltree.Element) bool {
	file := c.Child(jingle.NSFile, "description").Child(jingle.NSFile, "file")
	enc := file.Child(omemo.NS, "encrypted")
	return c.Child(jingle.NSJET, "security") == nil && file.ChildText(jingle.NSFile, "size") == "100017" &&
		enc.Child(omemo.NS, "header") != nil && enc.Child(omemo.NS, "payload") == nil && file.Child(jingle.NSFile, "desc") != nil &&
		file.Child(jingle.NSHashes, "hash") == nil && file.Child(jingle.NSHashes, "hash-used") == nil
}

// TestFormRefused: what no form of the contact's can do is 7, and says what could.
func TestFormRefused(t *testing.T) {
	st := newFormStage(t)
	old := []string{profile.NS, contact.NSJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile}
	for name, tt := range map[string]struct {
		opt    SendOptions
		name   string
		hidden []string
		hint   string
	}{
		"hidden name, file":    {opt: SendOptions{Encryption: dialect.ChooseEncryptedFile, HiddenName: true}, hint: "--require-hidden-name"},
		"hidden name, draft":   {opt: SendOptions{Encryption: dialect.ChooseDraft, HiddenName: true}, hint: "--require-hidden-name"},
		"receipt, file":        {opt: SendOptions{Encryption: dialect.ChooseEncryptedFile, VerifiedReceipt: true}, hint: "--require-verified-receipt"},
		"receipt, draft":       {opt: SendOptions{Encryption: dialect.ChooseDraft, VerifiedReceipt: true}, hint: "--require-verified-receipt"},
		"256 for a file":       {opt: SendOptions{Encryption: dialect.ChooseEncryptedFile, Cipher: "aes-256-gcm"}, hint: "--cipher"},
		"Conversations, auto":  {name: "Conversations 2.5.7", hidden: old, hint: "--encryption encrypted-file"},
		"Conversations, draft": {opt: SendOptions{Encryption: dialect.ChooseDraft}, name: "Conversations 2.5.7", hidden: old, hint: "--encryption jet-draft` out"},
		"aTalk, auto":          {name: "aTalk", hidden: []string{profile.NS, contact.NSJETOMEMO, jingle.NSEncryptedFile}, hint: "--encryption jet-draft"},
		"aTalk, jet":           {opt: SendOptions{Encryption: dialect.ChooseJET}, name: "aTalk", hidden: []string{profile.NS, contact.NSJETOMEMO}, hint: "--encryption jet"},
		"Psi":                  {name: "Psi", hidden: old, hint: "jetsend receive"},
		"Psi, asked for":       {opt: SendOptions{Encryption: dialect.ChooseEncryptedFile}, name: "Psi", hidden: old, hint: "--encryption encrypted-file"},
		"Libervia":             {name: "Libervia", hidden: []string{profile.NS}, hint: "jetsend receive"},
		"Libervia, asked for":  {opt: SendOptions{Encryption: dialect.ChooseEncryptedFile}, name: "Libervia", hidden: []string{profile.NS}, hint: "jetsend receive"},
		"Libervia, draft":      {opt: SendOptions{Encryption: dialect.ChooseDraft}, name: "Libervia", hidden: []string{profile.NS}, hint: "jetsend receive"},
		"in-band first": {
			opt:  SendOptions{Encryption: dialect.ChooseEncryptedFile, Route: route.Options{Transports: []string{route.IBB}}},
			name: "Conversations 1.23.8", hidden: old,
		},
	} {
		t.Run(name, func(t *testing.T) {
			st.pretend(tt.name, tt.hidden...)
			defer st.lie(nil)
			tt.opt.Wait = time.Second
			err := st.send(t, tt.opt)
			wantCode(t, err, exitcode.Incapable)
			hints := strings.Join(err.(*fault.Failure).Hints, "\n")
			if !strings.Contains(hints, tt.hint) {
				t.Errorf("hints %q", hints)
			}
			st.nothing(t)
		})
	}
}

// TestConversationsPaths: the old Conversations is offered SOCKS5 first, whatever
// the order that the user gave.
func TestConversationsPaths(t *testing.T) {
	st := newFormStage(t)
	st.pretend("Conversations 1.23.8", profile.NS, contact.NSJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile)
	if err := st.send(t, SendOptions{Encryption: dialect.ChooseEncryptedFile, Route: route.Options{Transports: []string{route.IBB, route.S5B}}}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if n, _ := last[event.Negotiated](&st.out); n.Transport != route.S5B {
		t.Errorf("%+v", n)
	}
}
