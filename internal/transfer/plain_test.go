package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"jetsend/internal/contact"
	"jetsend/internal/crypto"
	"jetsend/internal/dialect"
	"jetsend/internal/event"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/policy"
	"jetsend/internal/profile"
	"jetsend/internal/route"
	"jetsend/internal/source"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// newPlainStage is newFormStage with a receiver that takes plain files, too.
func newPlainStage(t *testing.T) *formStage {
	t.Helper()
	st := newFormStage(t)
	allow(t, st.juliet, func(o *ReceiveOptions) { o.InsecurePlaintext = true })
	return st
}

// allow changes the options of a receiver that runs.
func allow(t *testing.T, e *Endpoint, change func(*ReceiveOptions)) {
	t.Helper()
	e.receiver.Load().renew(func(under *terms) { change(&under.ReceiveOptions) })
}

func plainly(transport string) SendOptions {
	return SendOptions{Encryption: dialect.ChoosePlaintext, Route: route.Options{Transports: []string{transport}}}
}

// TestPlainToOthers: what a client without encryption is offered, and told behind
// the data; over either transport, by that word alone.
func TestPlainToOthers(t *testing.T) {
	st := newPlainStage(t)
	secure := []string{profile.NS, contact.NSJETOMEMO, jingle.NSJET, jingle.NSEncryptedFile}
	sum := sha256.Sum256(st.data)
	for client, checksum := range map[string]string{
		"Psi":      base64.StdEncoding.EncodeToString(sum[:]),
		"Gajim":    base64.StdEncoding.EncodeToString(sum[:]),
		"Libervia": base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))),
	} {
		for _, transport := range []string{route.S5B, route.IBB} {
			t.Run(client+" "+transport, func(t *testing.T) {
				st.pretend(client, secure...)
				defer st.lie(nil)
				wantCode(t, st.send(t, SendOptions{Wait: time.Second}), exitcode.Incapable)
				if _, offered := last[event.Offer](&st.out); offered {
					t.Fatal("offered unasked")
				}
				seen := len(st.tap.Stanzas())
				if err := st.send(t, plainly(transport)); err != nil {
					t.Fatal(err)
				}
				st.arrived(t)
				for who, e := range map[string]*events{"sender": &st.out, "receiver": &st.in} {
					n, _ := last[event.Negotiated](e)
					if n.Encryption != "none" || n.Cipher != "" || n.Transport != transport || len(n.Devices) > 0 {
						t.Errorf("%s: %+v", who, n)
					}
				}
				if w, _ := last[event.Warning](&st.out); !strings.Contains(w.Text, "UNENCRYPTED") {
					t.Errorf("warned of %q", w.Text)
				}
				if sent, _ := last[event.Sent](&st.out); sent.VerifiedByPeer {
					t.Errorf("%+v", sent)
				}
				got, _ := last[event.Received](&st.in)
				if !slices.Equal(got.Verified, []string{"sha-256"}) || got.SHA256 != hex.EncodeToString(sum[:]) {
					t.Errorf("%+v", got)
				}
				offer, told := plainStanzas(st, seen)
				if !literalPlain(offer) {
					t.Errorf("offered %s", offer)
				}
				h := told.Child(jingle.NSFile, "file").Child(jingle.NSHashes, "hash")
				if told.Attr("creator") != "initiator" || told.Attr("name") != offer.Attr("name") || h.Attr("algo") != "sha-256" || h.Text != checksum {
					t.Errorf("told %s", told)
				}
			})
		}
	}
}

// plainStanzas are the content and the checksum that romeo sent.
func plainStanzas(st *formStage, since int) (content, checksum *xmltree.Element) {
	for _, s := range st.tap.Stanzas()[since:] {
		x, err := xmltree.Parse(s.Raw)
		if err != nil {
			continue
		}
		j := x.Child(jingle.NS, "jingle")
		if j.Attr("action") == "session-initiate" {
			content = j.Child(jingle.NS, "content")
		}
		if c := j.Child(jingle.NSFile, "checksum"); c != nil {
			checksum = c
		}
	}
	return content, checksum
}

// literalPlain reports whether a content is an offer of XEP-0234 and nothing else:
// it announces a hash, and has none, and it has the <desc/> that Libervia insists on.
func literalPlain(c *xmltree.Element) bool {
	file := c.Child(jingle.NSFile, "description").Child(jingle.NSFile, "file")
	return len(c.Children) == 2 && c.Child("", "transport") != nil && c.Attr("senders") == "initiator" &&
		file.ChildText(jingle.NSFile, "name") == "f" && file.Child(jingle.NSFile, "desc") != nil && file.ChildText(jingle.NSFile, "size") == "100001" &&
		file.Child(jingle.NSHashes, "hash-used").Attr("algo") == "sha-256" &&
		file.Child("", "hash") == nil && file.Child("", "encrypted") == nil && file.Child("", "range") == nil
}

// TestPlainWhateverThePeerCan: the flag means it, towards a jetsend too, known as
// one or not; the next send without it is encrypted again.
func TestPlainWhateverThePeerCan(t *testing.T) {
	st := newPlainStage(t)
	for range 2 {
		if err := st.send(t, SendOptions{}); err != nil {
			t.Fatal(err)
		}
		st.arrived(t)
		if n, _ := last[event.Negotiated](&st.out); n.Encryption != "jet" || n.Cipher != "aes-256-gcm" {
			t.Errorf("%+v", n)
		}
		if _, warned := last[event.Warning](&st.out); warned {
			t.Error("warned of an encrypted file")
		}
		if err := st.send(t, plainly(route.S5B)); err != nil {
			t.Fatal(err)
		}
		st.arrived(t)
		if n, _ := last[event.Negotiated](&st.out); n.Encryption != "none" {
			t.Errorf("%+v", n)
		}
	}
	// Nobody who takes files.
	st.pretend("", jingle.NSFile)
	opt := plainly(route.S5B)
	opt.Wait = time.Second
	err := st.send(t, opt)
	wantCode(t, err, exitcode.Incapable)
	if !strings.Contains(err.Error(), "jetsend receive") {
		t.Error(err)
	}
}

// TestPlainNeverByItself: no other choice of form comes to no encryption, and where
// none is chosen nothing can be encrypted or sealed with what stands for the key.
func TestPlainNeverByItself(t *testing.T) {
	all := []dialect.Form{dialect.FormNone, dialect.FormPlaintext, dialect.FormConversations, dialect.FormDraft, dialect.FormEncryptedFile, dialect.FormJET, dialect.FormJetsend}
	for _, takes := range [][]dialect.Form{all, {dialect.FormPlaintext}, nil} {
		p := &contact.Peer{Takes: takes}
		for _, how := range []dialect.Choice{dialect.ChooseBest, dialect.ChooseJET, dialect.ChooseDraft, dialect.ChooseEncryptedFile, dialect.ChooseOther, "none", "insecure"} {
			if p.Best(how) == dialect.FormPlaintext {
				t.Errorf("%q of %v is no encryption", how, takes)
			}
		}
		if f := p.Best(dialect.ChoosePlaintext); f != dialect.FormNone && f != dialect.FormPlaintext {
			t.Errorf("insecure of %v is %d", takes, f)
		}
	}
	tk := talkIn(t, nil, dialect.FormPlaintext)
	if _, err := profile.Seal(tk.Dialect.Secret(), profile.KindReceipt, crypto.Context{}, xmltree.New(profile.NS, profile.KindReceipt)); err == nil {
		t.Error("sealed with no key")
	}
	a, _ := pair(t)
	if err := stream.Out(t.Context(), a, bytes.NewReader(nil), 0, tk.Dialect.Secret(), outgoingOver(a, same, new(stream.Rate), nil, meterFor(t))); !errors.Is(err, crypto.ErrUnknownSuite) {
		t.Errorf("encrypted with no key: %v", err)
	}
	if err := streamIn(t.Context(), a, false, 0, io.Discard, 0, tk.Dialect.Secret(), new(stream.Rate), nil, meterFor(t)); !errors.Is(err, crypto.ErrUnknownSuite) {
		t.Errorf("decrypted with no key: %v", err)
	}
}

// TestPlainChecksum: a hash that is not that of what came, in the offer or behind the
// data, ends the transfer with 10 and nothing released. One that is lost leaves the
// file unverified, and the event says so.
func TestPlainChecksum(t *testing.T) {
	st := newPlainStage(t)
	sum := func(do func(h *xmltree.Element)) func(*xmltree.Element) {
		return func(x *xmltree.Element) {
			if h := x.Child(jingle.NS, "jingle").Child(jingle.NSFile, "checksum").Child("", "file").Child("", "hash"); h != nil {
				do(h)
			}
		}
	}
	inOffer := func(text string) func(*xmltree.Element) {
		return func(x *xmltree.Element) {
			if f := x.Child(jingle.NS, "jingle").Child(jingle.NS, "content").Child(jingle.NSFile, "description").Child("", "file"); f != nil &&
				kindOf(x) == "session-initiate" {
				f.Add(xmltree.New(jingle.NSHashes, "hash").Set("algo", "sha-256").SetText(text))
			}
		}
	}
	right := sha256.Sum256(st.data)
	for name, tt := range map[string]struct {
		lie      func(*xmltree.Element)
		verified []string // nil: 10
	}{
		"honest":               {nil, []string{"sha-256"}},
		"one digit":            {sum(func(h *xmltree.Element) { h.Text = changed(h.Text) }), nil},
		"nonsense":             {sum(func(h *xmltree.Element) { h.Text = "yes" }), nil},
		"hex":                  {sum(func(h *xmltree.Element) { h.Text = hex.EncodeToString(right[:]) }), []string{"sha-256"}},
		"unknown algorithm":    {sum(func(h *xmltree.Element) { h.Set("algo", "whirlpool") }), []string{}},
		"lost":                 {sum(func(h *xmltree.Element) { h.Name.Local = "nothing" }), []string{}},
		"right in the offer":   {inOffer(hex.EncodeToString(right[:])), []string{"sha-256"}},
		"wrong in the offer":   {inOffer(strings.Repeat("00", 32)), nil},
		"no hash in the offer": {inOffer("yes"), nil},
	} {
		for _, transport := range []string{route.S5B, route.IBB} {
			if transport == route.IBB && name != "honest" && name != "one digit" {
				continue
			}
			t.Run(name+" "+transport, func(t *testing.T) {
				if name == "lost" || name == "unknown algorithm" {
					st.expectsNoChecksum(t)
				}
				st.lie(tt.lie)
				defer st.lie(nil)
				err := st.send(t, plainly(transport))
				if tt.verified != nil {
					if err != nil {
						t.Fatal(err)
					}
					st.arrived(t)
					if got, _ := last[event.Received](&st.in); got.Verified == nil || !slices.Equal(got.Verified, tt.verified) {
						t.Errorf("verified by %q", got.Verified)
					}
					return
				}
				wantCode(t, err, exitcode.Integrity)
				if f, ok := last[event.Failed](&st.in); !ok || f.Code != int(exitcode.Integrity) || f.Resumable {
					t.Errorf("receiver: %+v", f)
				}
				st.nothing(t)
			})
		}
	}
}

// TestPlainPolicy: the address decides, as for every offer, and a person who is asked
// is told.
func TestPlainPolicy(t *testing.T) {
	st := newPlainStage(t)
	asked := make(chan Question, 1)
	for name, tt := range map[string]struct {
		opt  ReceiveOptions
		code exitcode.Code // of the sender
	}{
		"contacts": {ReceiveOptions{Accept: policy.Contacts, InsecurePlaintext: true}, exitcode.OK},
		"from":     {ReceiveOptions{Accept: policy.From, From: []jid.JID{jid.MustParse("romeo@jet.test")}, InsecurePlaintext: true}, exitcode.OK},
		"asked": {ReceiveOptions{Accept: policy.Ask, InsecurePlaintext: true, Ask: func(_ context.Context, q Question) (bool, error) {
			asked <- q
			return true, nil
		}}, exitcode.OK},
		"asked, no": {ReceiveOptions{Accept: policy.Ask, InsecurePlaintext: true, Ask: func(context.Context, Question) (bool, error) { return false, nil }}, exitcode.Declined},
		"too big":   {ReceiveOptions{Accept: policy.Contacts, InsecurePlaintext: true, MaxSize: 100_000}, exitcode.Declined},
		"others":    {ReceiveOptions{Accept: policy.From, From: []jid.JID{jid.MustParse("nurse@jet.test")}, InsecurePlaintext: true}, exitcode.Offline},
		"off":       {ReceiveOptions{Accept: policy.Contacts}, exitcode.Untrusted},
		"off, all":  {ReceiveOptions{Accept: policy.All}, exitcode.Untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			allow(t, st.juliet, func(o *ReceiveOptions) {
				tt.opt.Dir, tt.opt.Stop, tt.opt.Changes = o.Dir, o.Stop, o.Changes
				*o = tt.opt
			})
			err := st.send(t, plainly(route.S5B))
			if tt.code == exitcode.OK {
				if err != nil {
					t.Fatal(err)
				}
				st.arrived(t)
			} else {
				wantCode(t, err, tt.code)
				st.nothing(t)
			}
			if name != "asked" {
				return
			}
			if q := <-asked; !q.Insecure || q.Device.ID != 0 || q.Name != "f" || q.Size != int64(len(st.data)) {
				t.Errorf("asked %+v", q)
			}
		})
	}
	// A contact who sends an encrypted file is asked about as ever.
	allow(t, st.juliet, func(o *ReceiveOptions) {
		o.Accept, o.From, o.MaxSize, o.InsecurePlaintext = policy.Ask, nil, 0, true
		o.Ask = func(_ context.Context, q Question) (bool, error) {
			asked <- q
			return true, nil
		}
	})
	if err := st.send(t, SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if q := <-asked; q.Insecure || q.Device.ID == 0 {
		t.Errorf("asked %+v", q)
	}
	st.arrived(t)
}

// TestPlainIsOfNoKey: what the journal keeps of a plain transfer can be gone on with
// by nobody, and an id that a contact chooses leads from neither kind to the other.
func TestPlainIsOfNoKey(t *testing.T) {
	st := newPlainStage(t)
	if err := st.send(t, plainly(route.S5B)); err != nil {
		t.Fatal(err)
	}
	st.arrived(t)
	romeo, juliet := jid.MustParse("romeo@jet.test"), jid.MustParse("juliet@jet.test")
	for e, peer := range map[*Endpoint]jid.JID{st.romeo: juliet, st.juliet: romeo} {
		rows, err := e.journal.List(t.Context(), journal.Filter{})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		row := rows[0]
		if row.Profile || !row.Insecure() || row.State != journal.Complete {
			t.Errorf("%+v", row)
		}
		for _, key := range [][]byte{st.romeo.omemo.IdentityKey(), st.juliet.omemo.IdentityKey()} {
			if _, err := e.journal.Offered(t.Context(), row.ID, peer, key); !errors.Is(err, journal.ErrUnknown) {
				t.Errorf("granted: %v", err)
			}
			if _, err := e.journal.Finished(t.Context(), row.ID, peer, key); !errors.Is(err, journal.ErrUnknown) {
				t.Errorf("finished: %v", err)
			}
		}
	}
	// The sender's process died: nothing to go on with, encrypted or not.
	o := st.romeo.offering(SendOptions{To: juliet, Encryption: dialect.ChoosePlaintext}, &source.Source{Name: "f", Path: st.path, Size: 1}, nil)
	o.form = dialect.FormPlaintext
	h, err := st.romeo.journal.Begin(t.Context(), o.rowOf())
	if err == nil {
		err = errors.Join(h.Interrupt(fault.ErrStreamLost), h.Release())
	}
	if err != nil {
		t.Fatal(err)
	}
	st.out.reset()
	err = st.romeo.Resume(t.Context(), ResumeOptions{Transfers: []journal.Key{{ID: o.head.Transfer, Direction: journal.Send}}, Named: true})
	wantCode(t, err, exitcode.Declined)
	if f, _ := last[event.Failed](&st.out); f.Resumable {
		t.Errorf("%+v", f)
	}
	if _, offered := last[event.Offer](&st.out); offered {
		t.Error("offered")
	}
	// A jetsend offers a transfer, encrypted, under the id of a plain one of the same contact.
	id := uuid.NewString()
	row := journal.Row{
		Key: journal.Key{ID: id, Direction: journal.Receive}, Peer: romeo, Name: "f", Dir: st.dir, Size: 3, Source: journal.SourceFile, Keys: [][]byte{journal.NoKey()},
	}
	h, err = st.juliet.journal.Begin(t.Context(), row)
	if err == nil {
		err = errors.Join(h.Interrupt(fault.ErrStreamLost), h.Release())
	}
	if err != nil {
		t.Fatal(err)
	}
	st.in.reset()
	if code := offeredBy(t, st.romeo, &source.Source{Name: "f"}, []byte("abc"), id); code != exitcode.Untrusted {
		t.Errorf("exit code %d", code)
	}
	waitIdle(t, st.juliet)
	if _, ok := last[event.Received](&st.in); ok {
		t.Error("received")
	}
	st.nothing(t)
}

// TestPlainAfterCrash: the release of a plain file that a crash has cut is ended, and
// nothing is said to have verified it.
func TestPlainAfterCrash(t *testing.T) {
	s := prosody(t)
	dir := t.TempDir()
	var in events
	juliet := online(t, s, s.Addr, "juliet", true, in.report)
	row := journal.Row{
		Key: journal.Key{ID: uuid.NewString(), Direction: journal.Receive}, Peer: jid.MustParse("romeo@jet.test"),
		Name: "f", Dir: dir, Size: 3, Source: journal.SourceFile, Keys: [][]byte{journal.NoKey()},
	}
	cutRelease(t, juliet, row, []byte("abc"))
	receiving(t, juliet, ReceiveOptions{Dir: dir, Accept: policy.Contacts})
	eventually(t, func() bool { _, ok := last[event.Received](&in); return ok })
	if got, _ := last[event.Received](&in); got.Verified == nil || len(got.Verified) > 0 {
		t.Errorf("%+v", got)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != "abc" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestPlainStripped: what a server makes of an encrypted offer by taking its envelope
// away. Without the flag it is refused. With it, our profile is not spoken without its
// seals, and of another form the ciphertext is all that ever goes over the path.
func TestPlainStripped(t *testing.T) {
	st := newFormStage(t)
	st.lie(func(x *xmltree.Element) {
		if c := x.Child(jingle.NS, "jingle").Child(jingle.NS, "content"); c != nil {
			c.Children = slices.DeleteFunc(c.Children, func(k *xmltree.Element) bool { return k.Is(jingle.NSJET, "security") })
		}
	})
	for _, how := range []dialect.Choice{dialect.ChooseBest, dialect.ChooseJET, dialect.ChooseDraft} {
		wantCode(t, st.send(t, SendOptions{Encryption: how}), exitcode.Untrusted)
		st.nothing(t)
	}
	allow(t, st.juliet, func(o *ReceiveOptions) { o.InsecurePlaintext = true })
	wantCode(t, st.send(t, SendOptions{}), exitcode.Integrity)
	st.nothing(t)
	st.expectsNoChecksum(t)
	if err := st.send(t, SendOptions{Encryption: dialect.ChooseJET}); err != nil {
		t.Fatal(err)
	}
	got, _ := last[event.Received](&st.in)
	b, err := os.ReadFile(got.Path)
	if err != nil || len(b) != len(st.data) || bytes.Equal(b, st.data) || len(got.Verified) > 0 {
		t.Errorf("%+v: %v", got, err)
	}
}

// TestPlainRefusedOnce: a client that finds a plain offer not acceptable does not speak
// of OMEMO sessions: none is built anew, and it is not asked twice.
func TestPlainRefusedOnce(t *testing.T) {
	st := newPlainStage(t)
	offered := map[string]bool{} // ids; under the lock of the stage
	st.lie(func(x *xmltree.Element) {
		switch {
		case kindOf(x) == "session-initiate":
			offered[x.Attr("id")] = true
		case offered[x.Attr("id")] && x.Attr("type") == "result":
			x.Set("type", "error").Add(xmltree.New("jabber:client", "error",
				xmltree.New("urn:ietf:params:xml:ns:xmpp-stanzas", "not-acceptable")).Set("type", "modify"))
		case kindOf(x) == "session-accept":
			x.Children = nil // a busy sender may see it first, and then it counts
		}
	})
	wantCode(t, st.send(t, plainly(route.S5B)), exitcode.Untrusted)
	st.lie(nil)
	if len(offered) != 1 {
		t.Errorf("offered %d times", len(offered))
	}
	if known, err := st.romeo.omemo.Devices(t.Context(), jid.MustParse("juliet@jet.test")); err != nil || len(known) > 0 {
		t.Errorf("devices known now: %+v %v", known, err)
	}
}
