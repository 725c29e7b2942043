package dialect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/crypto"
	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stream"
	"jetsend/internal/xmltree"
)

// openEnvelope is a wrapper whose envelopes everybody can open: it keeps what is in the latest.
type openEnvelope struct{ payload []byte }

func (*openEnvelope) WrapKey(context.Context, omemo.PEP, jid.JID, *crypto.Secret, omemo.Sessions) (*omemo.Envelope, error) {
	return nil, errors.New("not of our profile")
}

func (e *openEnvelope) WrapPayload(_ context.Context, _ omemo.PEP, _ jid.JID, payload []byte, _ omemo.Sessions) (*omemo.Envelope, error) {
	e.payload = bytes.Clone(payload)
	return &omemo.Envelope{Element: xmltree.New(omemo.NS, "encrypted")}, nil
}

// opens is what comes of it at the device that it is for.
func (e *openEnvelope) opens() *omemo.Opened {
	return &omemo.Opened{Device: omemo.Device{ID: 4711}, Payload: bytes.Clone(e.payload), HasPayload: true}
}

// offeredSession is a session as its offer came.
type offeredSession struct{ content jingle.Content }

func (s offeredSession) ID() string              { return "s1" }
func (s offeredSession) Content() jingle.Content { return s.content }
func (s offeredSession) InitiatorJID() jid.JID   { return jid.MustParse("romeo@jet.test/a") }
func (s offeredSession) ResponderJID() jid.JID   { return jid.MustParse("juliet@jet.test/b") }

func setOffer() profile.Offer {
	o := testOffer()
	o.File, o.Set = &jingle.File{Name: "f and another", Size: 12}, &profile.Set{Items: 2, Entries: 2, Bytes: 12}
	return *o
}

// offered is an offer of a set, or a request for it, on its way.
type offered struct {
	t        *testing.T
	ours     Dialect // of who made it
	envelope openEnvelope
	content  jingle.Content
}

func offer(t *testing.T, senders string) *offered {
	t.Helper()
	x := &offered{t: t, ours: NewSet(Jetsend), content: jingle.Content{
		Creator: jingle.SenderInitiator, Name: ContentName, Senders: senders, Transport: ibb.NewTransport(0).Element(),
	}}
	if _, err := x.ours.Write(t.Context(), &x.envelope, nil, Terms{Offer: setOffer()}, &x.content); err != nil {
		t.Fatal(err)
	}
	return x
}

// read is the dialect of who gets it.
func (x *offered) read() (Dialect, error) {
	x.t.Helper()
	in, err := Read(x.content, x.content.Senders)
	if err != nil {
		x.t.Fatal(err)
	}
	in.Sets = true
	return in.Open(offeredSession{x.content}, x.envelope.opens())
}

// accepted is who gets it, and what that accepts.
func (x *offered) accepted() (Dialect, jingle.Content) {
	x.t.Helper()
	theirs, err := x.read()
	if err != nil {
		x.t.Fatal(err)
	}
	c := x.content
	c.Security = nil
	if err := theirs.Accept(&c, theirs.Span(c, 5, 12, 7), Answer{Device: 815}); err != nil {
		x.t.Fatal(err)
	}
	return theirs, c
}

// pipe is what one end writes and the other reads.
type pipe struct {
	io.Reader
	io.Writer
}

// records are both ends of the session over a bytestream, and what is on the wire.
func records(t *testing.T, a, b Dialect, sid string) (aw, bw *crypto.RecordWriter, ar, br *crypto.RecordReader, wire *[2]bytes.Buffer) {
	t.Helper()
	wire = new([2]bytes.Buffer)
	aw, ar, err := a.Records(pipe{&wire[1], &wire[0]}, sid)
	if err != nil {
		t.Fatal(err)
	}
	bw, br, err = b.Records(pipe{&wire[0], &wire[1]}, sid)
	if err != nil {
		t.Fatal(err)
	}
	return aw, bw, ar, br, wire
}

// TestSet: both ends of a session of a set have its keys, whoever opened it.
func TestSet(t *testing.T) {
	for _, senders := range []string{jingle.SenderInitiator, jingle.SenderResponder} {
		x := offer(t, senders)
		theirs, content := x.accepted()
		if f := theirs.Sealed(); f.Set == nil || f.Set.Items != 2 || f.Cipher != profile.NSSet || f.Senders != senders || theirs.Form() != FormJetsend {
			t.Errorf("%s: %+v", senders, f)
		}
		if _, _, err := x.ours.Records(pipe{}, "b"); err == nil {
			t.Error("records before the accept")
		}
		got, err := x.ours.ReadAccept(content, 12, 5)
		if want := (Accepted{profile.Whole(12), Answer{Device: 815}}); err != nil || got != want {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, _, err := x.ours.Records(pipe{}, ""); err == nil {
			t.Error("records over a path without an id")
		}
		aw, bw, ar, br, _ := records(t, x.ours, theirs, "b")
		if err := errors.Join(aw.Write([]byte("from romeo"), false), bw.Write([]byte("from juliet"), true)); err != nil {
			t.Fatal(err)
		}
		if p, err := br.Read(); string(p) != "from romeo" {
			t.Errorf("%q, %v", p, err)
		}
		if p, err := ar.Read(); string(p) != "from juliet" {
			t.Errorf("%q, %v", p, err)
		}
		// What was derived of is what was written.
		text := x.envelope.payload[profile.SecretSize:]
		if s := theirs.(*set); s.offered != sha256.Sum256(text) || !bytes.HasPrefix(text, []byte("<offer")) || s.accepted != x.ours.(*set).accepted {
			t.Errorf("%s", text)
		}
	}
}

// TestSetKeysOnce: what an offer that is replayed, an accept of before, or a transport that
// was replaced, brings about is other keys.
func TestSetKeysOnce(t *testing.T) {
	x := offer(t, jingle.SenderInitiator)
	first, content := x.accepted()
	again, anew := x.accepted() // the same envelope in the same stanza
	if _, err := x.ours.ReadAccept(content, 12, 12); err != nil {
		t.Fatal(err)
	}
	var streams []string
	write := func(d Dialect, sid string) {
		t.Helper()
		var wire bytes.Buffer
		w, _, err := d.Records(pipe{nil, &wire}, sid)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(make([]byte, 1000), true); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(streams, wire.String()) {
			t.Error("the same key and nonce")
		}
		streams = append(streams, wire.String())
	}
	for _, d := range []Dialect{first, again, x.ours} {
		for _, sid := range []string{"b", "replaced"} {
			write(d, sid)
			if _, _, err := d.Records(pipe{nil, io.Discard}, sid); !errors.Is(err, crypto.ErrReused) {
				t.Errorf("the same path twice: %v", err)
			}
		}
	}
	// Accepting once more draws once more, too.
	if err := again.Accept(&anew, profile.Whole(12), Answer{Device: 815}); err != nil {
		t.Fatal(err)
	}
	write(again, "b")
	if len(streams) != 7 {
		t.Errorf("%d streams", len(streams))
	}
	// An end with the accept of another session cannot read a word.
	_, bw, ar, _, _ := records(t, x.ours, again, "third")
	if err := bw.Write(nil, true); err != nil {
		t.Fatal(err)
	}
	if _, err := ar.Read(); !errors.Is(err, crypto.ErrAuthentication) {
		t.Errorf("%v", err)
	}
}

// TestSetIsNoFile: what is of one file is an error in a session of a set, and the other
// way round; the secret of a set encrypts no stream.
func TestSetIsNoFile(t *testing.T) {
	x := offer(t, jingle.SenderInitiator)
	theirs, content := x.accepted()
	if _, err := x.ours.ReadAccept(content, 12, 12); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dialect{x.ours, theirs} {
		if _, _, err := d.Records(pipe{nil, io.Discard}, "b"); err != nil {
			t.Fatal(err)
		}
		if _, err := crypto.NewEncrypter(io.Discard, d.Secret()); !errors.Is(err, crypto.ErrReused) {
			t.Errorf("a stream: %v", err)
		}
		_, err1 := d.Checksum(profile.Whole(12), "")
		_, err2 := d.Verify(t.Context(), nil, profile.Whole(12), nil)
		for _, err := range []error{
			err1, err2, d.Out(t.Context(), nil, nil, 12, stream.Outgoing{}), d.In(t.Context(), nil, nil, profile.Whole(12), stream.Incoming{}),
		} {
			if !errors.Is(err, errSet) {
				t.Errorf("%v", err)
			}
		}
	}
	c := content
	for _, err := range []error{theirs.Accept(&c, profile.Span{Offset: 5, Length: 7, Size: 12}, Answer{Device: 1}), theirs.Accept(&c, profile.Whole(12), Answer{Prefix: "00", Device: 1})} {
		if !errors.Is(err, errSet) {
			t.Errorf("%v", err)
		}
	}
	var env openEnvelope
	if _, err := New(FormJetsend, "", Jetsend).Write(t.Context(), &env, nil, Terms{Offer: setOffer(), Limit: 100}, &c); !errors.Is(err, errSet) {
		t.Errorf("a set as a file: %v", err)
	}
	file, restart := *testOffer(), setOffer()
	restart.Restart = true
	for name, terms := range map[string]Terms{"a file as a set": {Offer: file}, "from byte 5": {Offer: setOffer(), Offset: 5}, "a restart": {Offer: restart}} {
		if _, err := NewSet(Jetsend).Write(t.Context(), &env, nil, terms, &c); err == nil {
			t.Error(name)
		}
	}
	if env.payload != nil {
		t.Error("something went out")
	}
	for f := range FormJetsend + 1 {
		if _, _, err := New(f, "", OtherClient).Records(pipe{nil, io.Discard}, "b"); err == nil {
			t.Errorf("form %d has records", f)
		}
	}
}

// TestSetRefused: nothing but a set has its cipher, and no set another one; a client that
// takes none says so.
func TestSetRefused(t *testing.T) {
	refused := func(what string, x *offered) {
		t.Helper()
		if d, err := x.read(); !errors.Is(err, profile.ErrOffer) {
			t.Errorf("%s: %+v, %v", what, d, err)
		}
	}
	x := offer(t, jingle.SenderInitiator)
	genuine := x.content.Security.Attr("cipher")
	if genuine != profile.NSSet {
		t.Errorf("cipher %q", genuine)
	}
	for _, cipher := range []string{crypto.AES256GCM.URN(), crypto.AES128GCM.URN(), profile.NSSet + ":0", strings.ToUpper(profile.NSSet)} {
		x.content.Security.Set("cipher", cipher)
		refused("a set for "+cipher, x)
	}
	x.content.Security.Set("cipher", profile.NSSet)
	for name, payload := range map[string][]byte{
		"a file":           testOffer().Payload(crypto.NewSecret(crypto.AES256GCM)),
		"a secret":         crypto.NewSecret(crypto.AES256GCM).Serialize(),
		"a lesser secret":  crypto.NewSecret(crypto.AES128GCM).Serialize(),
		"a space":          []byte(" "),
		"no set in it":     bytes.Replace(x.envelope.payload, []byte("<set "), []byte("<x "), 1),
		"a cipher as well": bytes.Replace(x.envelope.payload, []byte("cipher='"+profile.NSSet), []byte("cipher='"+crypto.AES256GCM.URN()), 1),
	} {
		other := *x
		other.envelope.payload = payload
		refused(name, &other)
	}
	if _, err := x.read(); err != nil {
		t.Error(err)
	}
	in, err := Read(x.content, jingle.SenderInitiator)
	if err != nil {
		t.Fatal(err)
	}
	var no *fault.Refusal
	_, err = in.Open(offeredSession{x.content}, x.envelope.opens())
	if !errors.As(err, &no) || no.Reason.Condition != jingle.UnsupportedApplications || fault.New(err, false).Code != exitcode.Incapable {
		t.Errorf("where none is taken: %v", err)
	}
	if _, err := in.tell(&omemo.Opened{Key: make([]byte, 32), IV: make([]byte, 12)}); err == nil {
		t.Error("a key transport")
	}
}

// TestSetAcceptIsHeld: an accept that is not for all of the set, or of before it was
// changed, is none.
func TestSetAcceptIsHeld(t *testing.T) {
	x := offer(t, jingle.SenderInitiator)
	theirs, honest := x.accepted()
	other, _ := offer(t, jingle.SenderInitiator).accepted()
	for name, change := range map[string]func(c *jingle.Content){
		"unsealed":  func(c *jingle.Content) { c.Extra = nil },
		"a range":   func(c *jingle.Content) { c.Description = describeSpan(profile.Span{Offset: 5, Length: 7, Size: 12}) },
		"transport": func(c *jingle.Content) { c.Transport = ibb.NewTransport(0).Element() },
		"of another": func(c *jingle.Content) {
			if err := other.Accept(c, profile.Whole(12), Answer{Device: 815}); err != nil {
				t.Error(err)
			}
		},
		"without a random": func(c *jingle.Content) {
			if err := theirs.(*set).jetsend.Accept(c, profile.Whole(12), Answer{Device: 815}); err != nil {
				t.Error(err)
			}
		},
	} {
		c := honest
		change(&c)
		if a, err := x.ours.ReadAccept(c, 12, 12); !errors.Is(err, profile.ErrSealed) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		if _, _, err := x.ours.Records(pipe{}, "b"); err == nil {
			t.Errorf("%s: there are records", name)
		}
	}
}

// TestSetReceiptRead: the receipt of a set says how much failed, that of a file must not.
func TestSetReceiptRead(t *testing.T) {
	x := offer(t, jingle.SenderInitiator)
	theirs, content := x.accepted()
	rec := profile.Receipt{Transfer: testOffer().Transfer, Size: 12, Stored: 12, Failed: 3}
	word, err := theirs.Receipt(content, rec)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := x.ours.ReadReceipt(word, profile.Receipt{Size: 12, Stored: 12}); err != nil || *got != rec {
		t.Errorf("%+v, %v", got, err)
	}
	file, c := New(FormJetsend, "", Jetsend), content
	if _, err := file.Write(t.Context(), new(openEnvelope), nil, Terms{Offer: *testOffer(), Limit: 100}, &c); err != nil {
		t.Fatal(err)
	}
	if word, err = file.Receipt(content, rec); err != nil {
		t.Fatal(err)
	}
	if got, err := file.ReadReceipt(word, profile.Receipt{Size: 12, Stored: 12}); !errors.Is(err, profile.ErrSealed) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSetWorked holds the worked example of docs/protocol.md against what is written: the
// sealed elements of a session, and the first record of each direction.
func TestSetWorked(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	told := func(what, text string) {
		t.Helper()
		if !strings.Contains(string(doc), "\n"+text+"\n") {
			t.Errorf("docs/protocol.md does not have the %s:\n%s", what, text)
		}
	}
	secret := func() *crypto.Secret {
		var key [32]byte
		for i := range key {
			key[i] = byte(0xe0 + i)
		}
		s, err := crypto.SecretFrom(crypto.AES256GCM, key[:], bytes.Repeat([]byte{0xff}, 12))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	romeo := NewSet(Jetsend).(*set)
	romeo.ts = secret()
	content := jingle.Content{
		Creator: jingle.SenderInitiator, Name: ContentName, Senders: jingle.SenderInitiator,
		Transport: ibb.Transport{SID: "b1", BlockSize: 4096}.Element(),
	}
	var envelope openEnvelope
	terms := Terms{Offer: profile.Offer{
		Transfer: "0f6c0a1e-0000-4000-8000-000000000001", SID: replaySID, Initiator: replayRomeo, Responder: replayJuliet, Device: 4711,
		File: &jingle.File{Name: "work", Size: 303},
		Set: &profile.Set{Items: 2, Entries: 3, Bytes: 303, Listed: []profile.Listed{
			{Name: "work", Directory: true, Bytes: 300, Entries: 2}, {Name: "note.txt", Bytes: 3, Entries: 1},
		}},
	}}
	if _, err := romeo.Write(t.Context(), &envelope, nil, terms, &content); err != nil {
		t.Fatal(err)
	}
	told("content", string(xmltree.New(jingle.NS, "content", content.Description, content.Transport).
		Set("creator", content.Creator).Set("name", content.Name).Set("senders", content.Senders).Canonical()))
	text := envelope.payload[profile.SecretSize:]
	told("sealed offer", string(text))
	told("SHA-256 of it", hex.EncodeToString(romeo.offered[:]))

	ts, o, err := profile.ParsePayload(crypto.AES256GCM, envelope.payload)
	if err != nil {
		t.Fatal(err)
	}
	juliet := openSet(foreign{form: FormJetsend, ts: ts, offer: *o}, envelope.payload)
	for i := range juliet.random {
		juliet.random[i] = byte(i)
	}
	content.Security = nil
	text, err = juliet.accept(&content, profile.Accept{Length: 303, Size: 303, Device: 815, Random: juliet.random})
	if err != nil {
		t.Fatal(err)
	}
	juliet.accepted, juliet.agreed = sha256.Sum256(text), true
	told("sealed accept", string(text))
	told("SHA-256 of it", hex.EncodeToString(juliet.accepted[:]))
	if _, err := romeo.ReadAccept(content, 303, 303); err != nil {
		t.Fatal(err)
	}
	aw, bw, ar, br, wire := records(t, romeo, juliet, "b1")
	for _, w := range []*crypto.RecordWriter{aw, bw} {
		if err := w.Write([]byte{0x0a, 0}, false); err != nil {
			t.Fatal(err)
		}
	}
	told("initiator's record", hex.EncodeToString(wire[0].Bytes()))
	told("responder's record", hex.EncodeToString(wire[1].Bytes()))
	for _, r := range []*crypto.RecordReader{ar, br} {
		if p, err := r.Read(); !bytes.Equal(p, []byte{0x0a, 0}) {
			t.Errorf("%x, %v", p, err)
		}
	}
	told("receipt", string(profile.Receipt{Transfer: o.Transfer, Size: 303, Stored: 303, Failed: 1}.Element().Bytes()))
}
