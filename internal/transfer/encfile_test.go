package transfer

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/omemo"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// formStage is two endpoints; romeo's stream goes through a tap that can lie.
type formStage struct {
	romeo, juliet *Endpoint
	in, out       events
	dir, path     string
	data          []byte
	tap           *xmpptest.Tap

	mu      sync.Mutex
	rewrite func(*xmltree.Element) // of every stanza to and from romeo
}

func newFormStage(t *testing.T) *formStage {
	t.Helper()
	s := prosody(t)
	st := &formStage{dir: t.TempDir(), data: make([]byte, 100_001)}
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
	st.juliet = online(t, s, s.Addr, "juliet", true, st.in.report)
	st.romeo = online(t, s, st.tap.Addr, "romeo", false, st.out.report)
	_, _ = rand.Read(st.data)
	st.path = filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(st.path, st.data, 0o600); err != nil {
		t.Fatal(err)
	}
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: AcceptContacts})
	return st
}

func (st *formStage) lie(rewrite func(*xmltree.Element)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.rewrite = rewrite
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
	opt.To, opt.Files, opt.AnswerTimeout = jid.MustParse("juliet@jet.test"), []Source{{Path: st.path}}, time.Minute
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
	got, err := os.ReadFile(filepath.Join(st.dir, "f"))
	if err != nil || !bytes.Equal(got, st.data) {
		t.Fatalf("received %d bytes of %d: %v", len(got), len(st.data), err)
	}
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
	all := []string{NS, nsJETOMEMO, jingle.NSJET}
	for name, tt := range map[string]struct {
		how        Encryption
		cipher     string
		name       string
		hidden     []string
		word, used string
		form       func(c *xmltree.Element) bool
	}{
		"jet":        {how: EncryptionJET, word: "jet", used: "aes-128-gcm"},
		"draft":      {how: EncryptionDraft, word: "jet-draft", used: "aes-256-gcm"},
		"draft, 128": {how: EncryptionDraft, cipher: "aes-128-gcm", word: "jet-draft", used: "aes-128-gcm"},
		"draft to aTalk": {
			how: EncryptionDraft, name: "aTalk", hidden: []string{NS, nsJETOMEMO}, word: "jet-draft", used: "aes-256-gcm",
		},
		"encrypted file":          {how: EncryptionFile, word: "encrypted-file", used: "aes-128-gcm", form: literalEncryptedFile},
		"encrypted file, unasked": {hidden: all, word: "encrypted-file", used: "aes-128-gcm", form: literalEncryptedFile},
		"encrypted file, by FT:4": {
			hidden: append(all, jingle.NSFile), word: "encrypted-file", used: "aes-128-gcm", form: literalEncryptedFile,
		},
		"in the file, as Conversations": {
			how: EncryptionFile, name: "Conversations 2.5.7", hidden: append(all, jingle.NSEncryptedFile), word: "encrypted-file", used: "aes-128-gcm",
			form: literalConversations,
		},
	} {
		for _, transport := range []string{S5B, IBB} {
			if transport == IBB && strings.Contains(name, "Conversations") {
				continue // TestConversationsPaths
			}
			t.Run(name+" "+transport, func(t *testing.T) {
				st.pretend(tt.name, tt.hidden...)
				defer st.lie(nil)
				seen := len(st.tap.Stanzas())
				err := st.send(t, SendOptions{Encryption: tt.how, Cipher: tt.cipher, Checksum: true, Route: RouteOptions{Transports: []string{transport}}})
				if err != nil {
					t.Fatal(err)
				}
				st.arrived(t)
				for who, e := range map[string]*events{"sender": &st.out, "receiver": &st.in} {
					if n, _ := last[Negotiated](e); n.Encryption != tt.word || n.Cipher != tt.used || n.Transport != transport {
						t.Errorf("%s: %+v", who, n)
					}
				}
				if sent, _ := last[Sent](&st.out); sent.VerifiedByPeer || sent.Size != int64(len(st.data)) {
					t.Errorf("%+v", sent)
				}
				if got, _ := last[Received](&st.in); got.Size != int64(len(st.data)) {
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

// literalEncryptedFile tells whether the content is that of the ProtoXEP.
func literalEncryptedFile(c *xmltree.Element) bool {
	enc := c.Child(jingle.NSEncryptedFile, "description").Child("urn:xmpp:omemo:0", "encrypted")
	head, file := enc.Child("urn:xmpp:omemo:0", "header"), enc.Child("urn:xmpp:omemo:0", "file")
	_, senders := c.LookupAttr("senders")
	hash := file.Child("urn:xmpp:hashes:1", "hash")
	return !senders && c.Child(jingle.NSJET, "security") == nil && len(enc.Children) == 2 && enc.Children[0] == head &&
		len(head.All("urn:xmpp:omemo:0", "key")) == 1 && file.ChildText("urn:xmpp:omemo:0", "size") == "100017" &&
		hash.Attr("algo") == "sha-256" && hash.Text == "" && len(head.ChildText("urn:xmpp:omemo:0", "iv")) == 16 &&
		enc.Child("urn:xmpp:omemo:0", "payload") == nil
}

// literalConversations tells whether it is what Conversations before 2.5.8 writes.
func literalConversations(c *xmltree.Element) bool {
	file := c.Child(jingle.NSFile, "description").Child(jingle.NSFile, "file")
	enc := file.Child(omemo.NS, "encrypted")
	return c.Child(jingle.NSJET, "security") == nil && file.ChildText(jingle.NSFile, "size") == "100017" &&
		enc.Child(omemo.NS, "header") != nil && enc.Child(omemo.NS, "payload") == nil &&
		file.Child(jingle.NSHashes, "hash") == nil && file.Child(jingle.NSHashes, "hash-used") == nil
}

// TestFormRefused: what no form of the contact's can do is 7, and says what could.
func TestFormRefused(t *testing.T) {
	st := newFormStage(t)
	old := []string{NS, nsJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile}
	for name, tt := range map[string]struct {
		opt    SendOptions
		name   string
		hidden []string
		hint   string
	}{
		"hidden name, file":    {opt: SendOptions{Encryption: EncryptionFile, HiddenName: true}, hint: "--require-hidden-name"},
		"hidden name, draft":   {opt: SendOptions{Encryption: EncryptionDraft, HiddenName: true}, hint: "--require-hidden-name"},
		"receipt, file":        {opt: SendOptions{Encryption: EncryptionFile, VerifiedReceipt: true}, hint: "--require-verified-receipt"},
		"receipt, draft":       {opt: SendOptions{Encryption: EncryptionDraft, VerifiedReceipt: true}, hint: "--require-verified-receipt"},
		"256 for a file":       {opt: SendOptions{Encryption: EncryptionFile, Cipher: "aes-256-gcm"}, hint: "--cipher"},
		"Conversations, auto":  {name: "Conversations 2.5.7", hidden: old, hint: "--encryption encrypted-file"},
		"Conversations, draft": {opt: SendOptions{Encryption: EncryptionDraft}, name: "Conversations 2.5.7", hidden: old, hint: "--encryption jet-draft` out"},
		"aTalk, auto":          {name: "aTalk", hidden: []string{NS, nsJETOMEMO, jingle.NSEncryptedFile}, hint: "--encryption jet-draft"},
		"aTalk, jet":           {opt: SendOptions{Encryption: EncryptionJET}, name: "aTalk", hidden: []string{NS, nsJETOMEMO}, hint: "--encryption jet"},
		"Psi":                  {name: "Psi", hidden: old, hint: "jetsend receive"},
		"Psi, asked for":       {opt: SendOptions{Encryption: EncryptionFile}, name: "Psi", hidden: old, hint: "--encryption encrypted-file"},
		"Libervia":             {name: "Libervia", hidden: []string{NS}, hint: "jetsend receive"},
		"Libervia, asked for":  {opt: SendOptions{Encryption: EncryptionFile}, name: "Libervia", hidden: []string{NS}, hint: "jetsend receive"},
		"Libervia, draft":      {opt: SendOptions{Encryption: EncryptionDraft}, name: "Libervia", hidden: []string{NS}, hint: "jetsend receive"},
		"in-band first": {
			opt:  SendOptions{Encryption: EncryptionFile, Route: RouteOptions{Transports: []string{IBB}}},
			name: "Conversations 1.23.8", hidden: old,
		},
	} {
		t.Run(name, func(t *testing.T) {
			st.pretend(tt.name, tt.hidden...)
			defer st.lie(nil)
			tt.opt.Wait = time.Second
			err := st.send(t, tt.opt)
			wantCode(t, err, exitcode.Incapable)
			hints := strings.Join(err.(*Failure).Hints, "\n")
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
	st.pretend("Conversations 1.23.8", NS, nsJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile)
	if err := st.send(t, SendOptions{Encryption: EncryptionFile, Route: RouteOptions{Transports: []string{IBB, S5B}}}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	if n, _ := last[Negotiated](&st.out); n.Transport != S5B {
		t.Errorf("%+v", n)
	}
}

// TestLyingChecksum: a checksum of the encrypted file that is wrong, whoever
// changed it, ends the transfer with 10 and nothing released; one that is lost, or
// written otherwise, does not.
func TestLyingChecksum(t *testing.T) {
	st := newFormStage(t)
	sum := func(do func(h *xmltree.Element)) func(*xmltree.Element) {
		return func(x *xmltree.Element) {
			c := x.Child(jingle.NS, "jingle").Child(jingle.NSEncryptedFile, "checksum")
			if h := c.Child("", "file").Child("", "hash"); h != nil {
				do(h)
			}
		}
	}
	for name, tt := range map[string]struct {
		lie func(*xmltree.Element)
		ok  bool
	}{
		"honest":     {nil, true},
		"one digit":  {sum(func(h *xmltree.Element) { h.Text = changed(h.Text) }), false},
		"cut":        {sum(func(h *xmltree.Element) { h.Text = h.Text[:62] }), false},
		"nonsense":   {sum(func(h *xmltree.Element) { h.Text = "yes" }), false},
		"base64":     {sum(func(h *xmltree.Element) { h.Text = base64Of(h.Text) }), true},
		"upper case": {sum(func(h *xmltree.Element) { h.Text = strings.ToUpper(h.Text) }), true},
		"other algo": {sum(func(h *xmltree.Element) { h.Set("algo", "whirlpool") }), true},
		"no file":    {func(x *xmltree.Element) { dropFile(x) }, false},
		"in another name space": {func(x *xmltree.Element) {
			if c := x.Child(jingle.NS, "jingle").Child(jingle.NSEncryptedFile, "checksum"); c != nil {
				c.Name.Space = jingle.NSFile
			}
		}, true},
		"in the offer": {func(x *xmltree.Element) {
			d := x.Child(jingle.NS, "jingle").Child(jingle.NS, "content").Child(jingle.NSEncryptedFile, "description")
			if h := d.Child("", "encrypted").Child("", "file").Child("", "hash"); h != nil && x.Child(jingle.NS, "jingle").Attr("action") == "session-initiate" {
				h.Text = strings.Repeat("00", 32)
			}
		}, false},
	} {
		for _, transport := range []string{S5B, IBB} {
			if transport == IBB && name != "honest" && name != "one digit" {
				continue
			}
			t.Run(name+" "+transport, func(t *testing.T) {
				st.lie(tt.lie)
				defer st.lie(nil)
				err := st.send(t, SendOptions{Encryption: EncryptionFile, Route: RouteOptions{Transports: []string{transport}}})
				if tt.ok {
					if err != nil {
						t.Fatal(err)
					}
					st.arrived(t)
					return
				}
				wantCode(t, err, exitcode.Integrity)
				if f, ok := last[Failed](&st.in); !ok || f.Code != int(exitcode.Integrity) || f.Resumable {
					t.Errorf("receiver: %+v", f)
				}
				if _, ok := last[Sent](&st.out); ok {
					t.Error("sent")
				}
				st.nothing(t)
			})
		}
	}
}

func base64Of(hexText string) string {
	b, err := hex.DecodeString(hexText)
	if err != nil {
		return ""
	}
	return (jingle.Hash{Algo: "sha-256", Value: b}).Element().Text
}

func dropFile(x *xmltree.Element) {
	if c := x.Child(jingle.NS, "jingle").Child(jingle.NSEncryptedFile, "checksum"); c != nil {
		c.Children = nil
	}
}

// TestFormsDamaged: a bit that flips on the way, or an end cut off, is never released.
func TestFormsDamaged(t *testing.T) {
	st := newFormStage(t)
	end := int64(len(st.data)) + 16
	for name, how := range map[string]Encryption{"encrypted file": EncryptionFile, "draft": EncryptionDraft} {
		for what, tt := range map[string]struct {
			fault xmpptest.Fault
			code  exitcode.Code
		}{
			"first bit":  {xmpptest.FlipBit(0, 0), exitcode.Integrity},
			"in the tag": {xmpptest.FlipBit(end-1, 7), exitcode.Integrity},
			"cut":        {xmpptest.CutAt(end - 1), exitcode.Interrupted},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				port := freePort(t)
				relay := xmpptest.StartRelay(t, addrOf(port), xmpptest.Both(tt.fault))
				st.juliet.cfg.S5B.ListenPorts, st.juliet.cfg.S5B.Advertise = []int{port}, []string{relay.Addr}
				st.romeo.cfg.S5B.Advertise = []string{"127.0.0.1:1"}
				wantCode(t, st.send(t, SendOptions{Encryption: how, Route: RouteOptions{Transports: []string{S5B}}}), tt.code)
				if _, ok := last[Received](&st.in); ok {
					t.Error("received")
				}
				if _, ok := last[Sent](&st.out); ok {
					t.Error("sent")
				}
				st.nothing(t)
			})
		}
	}
}

// TestFormsInTheClear: the stanzas of every form hold no key, no IV beyond the
// element made for it, no byte of the file and no hash of it.
func TestFormsInTheClear(t *testing.T) {
	st := newFormStage(t)
	plain := bytes.Repeat([]byte("To be, or not to be, that is the question. "), 500)
	if err := os.WriteFile(st.path, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	h1, h256, h5 := sha1.Sum(plain), sha256.Sum256(plain), md5.Sum(plain)
	for _, how := range []Encryption{EncryptionJET, EncryptionDraft, EncryptionFile} {
		t.Run(string(how), func(t *testing.T) {
			seen := len(st.tap.Stanzas())
			var key []byte
			src, err := openSource(Source{Path: st.path})
			if err != nil {
				t.Fatal(err)
			}
			defer closeSources([]*source{src})
			o := st.romeo.outgoing(SendOptions{To: jid.MustParse("juliet@jet.test"), Encryption: how, Checksum: true, Wait: 10 * time.Second, Route: RouteOptions{Transports: []string{S5B}}}, src)
			peers, err := st.romeo.choose(t.Context(), o.opt)
			if err != nil {
				t.Fatal(err)
			}
			st.romeo.cfg.Report = func(ev Event) {
				if _, ok := ev.(Negotiated); ok {
					key = o.talk.ts.Key()
				}
			}
			if code := o.start(t.Context(), peers, ""); code != 0 {
				t.Fatalf("code %d", code)
			}
			waitIdle(t, st.juliet)
			_ = os.Remove(filepath.Join(st.dir, "f"))
			var stanzas []byte
			for _, s := range st.tap.Stanzas()[seen:] {
				stanzas = append(append(stanzas, s.Raw...), '\n')
			}
			if len(key) < 16 || !bytes.Contains(stanzas, []byte("session-initiate")) {
				t.Fatal("nothing to search, or nothing to search for")
			}
			for what, secret := range map[string][]byte{
				"key": key, "sha-1": h1[:], "sha-256": h256[:], "md5": h5[:], "plaintext": plain[:64],
			} {
				for form, b := range forms(secret) {
					if bytes.Contains(stanzas, b) {
						t.Errorf("the stanzas hold the %s (%s)", what, form)
					}
				}
			}
		})
	}
}

// TestLyingServerFile: these forms seal nothing but the bytes. Whatever a server
// changes in the offer of one, what is released is the file, byte for byte.
func TestLyingServerFile(t *testing.T) {
	st := newFormStage(t)
	route := RouteOptions{Transports: []string{S5B}}
	var honest *xmltree.Element
	st.lie(func(x *xmltree.Element) {
		if kindOf(x) == "session-initiate" {
			honest = x.Clone()
		}
	})
	if err := st.send(t, SendOptions{Encryption: EncryptionFile, Route: route}); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	st.lie(nil)
	tried := 0
	for _, m := range mutations(honest) {
		if !strings.Contains(m.name, "description") || strings.Contains(m.name, "/date") || strings.Contains(m.name, "/name") {
			continue // the name and the date are the server's to see and to change
		}
		tried++
		st.lie(func(x *xmltree.Element) {
			if kindOf(x) == "session-initiate" {
				m.do(x)
			}
		})
		err := st.send(t, SendOptions{Encryption: EncryptionFile, Route: route, Wait: 5 * time.Second})
		_, got := last[Received](&st.in)
		if (err == nil) != got {
			t.Errorf("%s: sent says %v, received is %t", m.name, err, got)
		}
		if got {
			st.arrived(t)
			continue
		}
		st.nothing(t)
	}
	if tried < 15 {
		t.Errorf("only %d mutations", tried)
	}
}
