package transfer

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

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
		for _, transport := range []string{route.S5B, route.IBB} {
			if transport == route.IBB && name != "honest" && name != "one digit" {
				continue
			}
			t.Run(name+" "+transport, func(t *testing.T) {
				if name == "other algo" || name == "in another name space" {
					st.expectsNoChecksum(t)
				}
				st.lie(tt.lie)
				defer st.lie(nil)
				err := st.send(t, SendOptions{Encryption: dialect.ChooseEncryptedFile, Route: route.Options{Transports: []string{transport}}})
				if tt.ok {
					if err != nil {
						t.Fatal(err)
					}
					st.arrived(t)
					return
				}
				wantCode(t, err, exitcode.Integrity)
				if f, ok := last[event.Failed](&st.in); !ok || f.Code != int(exitcode.Integrity) || f.Resumable {
					t.Errorf("receiver: %+v", f)
				}
				if _, ok := last[event.Sent](&st.out); ok {
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
	for name, how := range map[string]dialect.Choice{"encrypted file": dialect.ChooseEncryptedFile, "draft": dialect.ChooseDraft} {
		for what, tt := range map[string]struct {
			fault xmpptest.Fault
			code  exitcode.Code
		}{
			"first bit":  {xmpptest.FlipBit(0, 0), exitcode.Integrity},
			"in the tag": {xmpptest.FlipBit(end-1, 7), exitcode.Integrity},
			"cut":        {xmpptest.CutAt(end - 1), exitcode.Interrupted},
			"no tag":     {xmpptest.DropLast(16), exitcode.Interrupted},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				port := freePort(t)
				relay := xmpptest.StartRelay(t, addrOf(port), xmpptest.Both(tt.fault))
				st.juliet.cfg.S5B.ListenPorts, st.juliet.cfg.S5B.Advertise = []int{port}, []string{relay.Addr}
				st.romeo.cfg.S5B.Advertise = []string{"127.0.0.1:1"}
				wantCode(t, st.send(t, SendOptions{Encryption: how, Route: route.Options{Transports: []string{route.S5B}}}), tt.code)
				if _, ok := last[event.Received](&st.in); ok {
					t.Error("received")
				}
				if _, ok := last[event.Sent](&st.out); ok {
					t.Error("sent")
				}
				if f, _ := last[event.Failed](&st.in); what == "no tag" && !strings.Contains(f.Reason, "unauthenticated") {
					t.Errorf("%+v", f)
				}
				st.nothing(t)
			})
		}
	}
}

// TestTagLostInband: Conversations 2.x does not send the last block in-band when that
// holds the tag alone, and closes. Nothing is released, and the reason says what is missing.
func TestTagLostInband(t *testing.T) {
	st := newFormStage(t)
	st.data = st.data[:2*4096] // so many blocks, and one for the tag
	if err := os.WriteFile(st.path, st.data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, how := range []dialect.Choice{dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		t.Run(string(how), func(t *testing.T) {
			lost := 0
			st.lie(func(x *xmltree.Element) {
				if d := x.Child(ibb.NS, "data"); d.Attr("seq") == "2" {
					lost = len(d.Text)
					x.Set("type", "get").Children = []*xmltree.Element{xmltree.New("urn:xmpp:ping", "ping")}
				}
			})
			wantCode(t, st.send(t, SendOptions{Encryption: how, Route: route.Options{Transports: []string{route.IBB}}}), exitcode.Interrupted)
			st.lie(nil)
			if lost != 24 { // 16 bytes in base64
				t.Errorf("the block that was lost has %d characters", lost)
			}
			if f, _ := last[event.Failed](&st.in); f.Code != int(exitcode.Interrupted) || !strings.Contains(f.Reason, "unauthenticated") {
				t.Errorf("receiver: %+v", f)
			}
			if r, s := count[event.Received](&st.in), count[event.Sent](&st.out); r+s > 0 {
				t.Errorf("%d received, %d sent", r, s)
			}
			st.nothing(t)
		})
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
	for _, how := range []dialect.Choice{dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		t.Run(string(how), func(t *testing.T) {
			seen := len(st.tap.Stanzas())
			var key []byte
			src, err := source.Open(t.Context(), source.Named{Path: st.path})
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close(src)
			o := st.romeo.offering(SendOptions{To: jid.MustParse("juliet@jet.test"), Encryption: how, Checksum: true, Wait: time.Minute, Route: route.Options{Transports: []string{route.S5B}}}, src, nil)
			peers, err := st.romeo.choose(t.Context(), o.opt)
			if err != nil {
				t.Fatal(err)
			}
			st.out.tell(func(ev event.Event) {
				if _, ok := ev.(event.Negotiated); ok {
					key = o.talk.Dialect.Secret().Key()
				}
			})
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

// TestLyingServerForms: these forms seal nothing but the bytes. Whatever a server
// changes in the offer or the accept of one, what is released is the file, byte for
// byte, and nobody says sent of what was not received.
func TestLyingServerForms(t *testing.T) {
	for _, how := range []dialect.Choice{dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile} {
		t.Run(string(how), func(t *testing.T) {
			st := newFormStage(t)
			opt := SendOptions{Encryption: how, Route: route.Options{Transports: []string{route.S5B}}, Wait: time.Minute}
			honest := map[string]*xmltree.Element{}
			st.lie(func(x *xmltree.Element) { honest[kindOf(x)] = x.Clone() })
			if err := st.send(t, opt); err != nil {
				t.Fatal(err)
			}
			st.arrived(t)
			st.lie(nil) // honest is ours from here on
			tried := 0
			for _, kind := range []string{"session-initiate", "session-accept"} {
				for _, m := range mutations(honest[kind]) {
					if !strings.HasPrefix(m.name, "jingle/content/") || strings.Contains(m.name, "/transport") || metadata(m.name) {
						continue
					}
					tried++
					st.lie(func(x *xmltree.Element) {
						if kindOf(x) == kind {
							m.do(x)
						}
					})
					err := st.send(t, opt)
					_, got := last[event.Received](&st.in)
					if (err == nil) != got {
						t.Errorf("%s: %s: sent says %v, received is %t", kind, m.name, err, got)
					}
					if _, sent := last[event.Sent](&st.out); sent && !got {
						t.Errorf("%s: %s: sent, and not received", kind, m.name)
					}
					if got {
						st.arrived(t)
						continue
					}
					st.nothing(t)
				}
			}
			st.lie(nil)
			if tried < 30 {
				t.Errorf("only %d mutations", tried)
			}
		})
	}
}

// metadata reports whether a mutation is of what these forms leave to the server to see
// and to change: the name and the date.
func metadata(name string) bool {
	return strings.Contains(name, "file/name") || strings.Contains(name, "file/date")
}
