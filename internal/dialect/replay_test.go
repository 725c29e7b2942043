package dialect

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
	"jetsend/internal/jid"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/omemo"
	"jetsend/internal/profile"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// replay is one file of testdata/replay: the stanzas of another client, what its
// envelope would hold if the ratchet opened it, and what comes of them.
type replay struct {
	t     *testing.T
	file  *xmltree.Element
	m     *jingle.Manager
	sess  *jingle.Session // once there is one
	heard []jingle.Event  // of it
	said  chan string     // the actions of ours
	asked map[string]bool // attributes of <expect/> that were looked at
}

// want is an attribute of <expect/>.
func (r *replay) want(name string) (string, bool) {
	r.asked[name] = true
	return r.file.Child("", "expect").LookupAttr(name)
}

// TestReplay plays what other clients say, or would say, as they say it; as the
// one who is offered a file and as the one who offers it. testdata/replay/README.md
// tells where the stanzas are from and how the files are read.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/replay/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".xml"), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			x, err := xmltree.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			r := &replay{t: t, file: x, asked: map[string]bool{}, said: make(chan string, 100)}
			r.run()
			for _, a := range x.Child("", "expect").Attrs {
				if !r.asked[a.Name.Local] && !t.Failed() {
					t.Errorf("nobody looked at %s=%q", a.Name.Local, a.Value)
				}
			}
		})
	}
}

// The addresses of the files: romeo offers, juliet is offered to.
var (
	replayRomeo  = jid.MustParse("romeo@montague.lit/orchard")
	replayJuliet = jid.MustParse("juliet@capulet.lit/balcony")
)

const replaySID = "851ba2"

func (r *replay) run() {
	self := replayJuliet
	role := r.file.Attr("role")
	if role == "initiator" {
		self = replayRomeo
	}
	r.m = jingle.NewManager(jingle.Config{Port: r, Self: func() jid.JID { return self }, OnOffer: func(s *jingle.Session) { r.sess = s }})
	defer r.m.Close(r.t.Context())
	switch role {
	case "initiator":
		r.offering()
	case "responder":
		r.offered()
	default:
		r.t.Fatalf("role %q", role)
	}
}

// IQ makes r the other client, which acknowledges whatever we send.
func (r *replay) IQ(_ context.Context, _ jid.JID, _ stanza.IQType, x *xmltree.Element) (*xmltree.Element, error) {
	r.said <- x.Attr("action")
	return nil, nil
}

// says waits for the action that <expect/> wants of us.
func (r *replay) says() {
	want, ok := r.want("says")
	late := time.After(time.Minute)
	for ok {
		select {
		case got := <-r.said:
			ok = got != want
		case <-late:
			r.t.Errorf("no %s", want)
			return
		}
	}
}

// receive gives the manager the stanzas of an element and checks the answers.
func (r *replay) receive(in string) {
	r.t.Helper()
	for _, x := range r.file.All("", in) {
		want := x.Attr("answer")
		for _, iq := range x.All("", "iq") {
			from, to := jid.MustParse(iq.Attr("from")), jid.MustParse(iq.Attr("to"))
			_, err := r.m.HandleIQ(r.t.Context(), stanza.IQ{From: from, To: to, ID: iq.Attr("id"), Type: stanza.Set, Payload: iq.Children[0]})
			got := "result"
			var answer *stanza.Error
			if errors.As(err, &answer) {
				got = strings.TrimSpace(answer.Condition + " " + answer.App.Local)
			}
			if got != want {
				r.t.Errorf("%s answered with %q, want %q (%v)", iq.Attr("id"), got, want, err)
			}
		}
	}
}

// offered is the responder's part.
func (r *replay) offered() {
	t := r.t
	r.receive("stanza")
	if _, none := r.want("no-session"); none {
		if r.sess != nil {
			t.Error("there is a session")
		}
		return
	}
	if r.sess == nil {
		t.Fatal("no session")
	}
	senders := jingle.SenderInitiator
	if s := r.sess.Content().Senders; s == jingle.SenderResponder {
		senders = s
	}
	if r.file.Attr("flag") == plainFlag {
		r.offeredPlain(senders)
		return
	}
	in, err := Read(r.sess.Content(), senders)
	var no *fault.Refusal
	errors.As(err, &no)
	if refused, ok := r.want("refused"); ok || err != nil {
		if no == nil || no.Reason.Condition != refused {
			t.Errorf("read as %+v, %v; want %q", in, err, refused)
		}
		if code := fault.New(err, false).Code; strings.HasPrefix(refused, "unsupported-") && code != exitcode.Incapable || code == exitcode.Unexpected {
			t.Errorf("%v: code %d", err, code)
		}
		return
	}
	r.attrs(map[string]string{
		"form": formNames[in.Form], "size": strconv.FormatInt(in.File.Size, 10), "name": in.File.Name, "media-type": in.File.MediaType,
		"hash-used": strings.Join(in.File.HashUsed, " "), "cipher": in.Security.Cipher,
	})
	r.transport(r.sess.Content().Transport)
	d := r.opened(in)
	if len(r.file.All("", "then")) == 0 {
		return
	}
	if err := r.sess.Accept(t.Context(), r.sess.Content()); err != nil {
		t.Fatal(err)
	}
	r.receive("then")
	r.infos()
	r.checksum(d)
	r.end()
}

// formNames are the forms as the files call them.
var formNames = map[Form]string{FormJET: "jet", FormEncryptedFile: "encrypted-file", FormConversations: "conversations"}

// opened tells the envelope, as if the ratchet had opened it.
func (r *replay) opened(in Clear) Dialect {
	t, x := r.t, r.file.Child("", "opened")
	if x == nil {
		return nil
	}
	o := &omemo.Opened{Key: unhex(t, x.Attr("key")), IV: unhex(t, x.Attr("iv"))}
	if p, ok := x.LookupAttr("payload"); ok {
		o.Payload, o.HasPayload = []byte(p), true
	}
	if p, ok := x.LookupAttr("payload-hex"); ok {
		o.Payload, o.HasPayload = unhex(t, p), true
	}
	d, err := in.Open(r.sess, o)
	if _, refused := r.want("envelope-refused"); refused || err != nil {
		if !refused || !errors.Is(err, profile.ErrOffer) {
			t.Errorf("told as %+v, %v", d, err)
		}
		return nil
	}
	r.attrs(map[string]string{
		"encryption": d.Form().Word(), "suite": d.Secret().Suite().Name(), "tk": hex.EncodeToString(d.Secret().Key()), "iv": hex.EncodeToString(d.Secret().IV()),
		"libervia": strconv.FormatBool(d.Libervia()),
	})
	return d
}

// transport checks what is read of a transport element.
func (r *replay) transport(x *xmltree.Element) {
	switch {
	case x.Is(s5b.NS, "transport"):
		p, err := s5b.ParseTransport(x)
		if err != nil {
			r.t.Fatal(err)
		}
		var cids []string
		for _, c := range p.Candidates {
			cids = append(cids, c.CID+":"+c.Type)
		}
		r.attrs(map[string]string{"transport": "s5b", "candidates": strings.Join(cids, " "), "dstaddr": p.DstAddr})
	case x.Is(ibb.NSTransport, "transport"):
		p, err := ibb.ParseTransport(x)
		if err != nil {
			r.t.Fatal(err)
		}
		r.attrs(map[string]string{"transport": "ibb", "block-size": strconv.Itoa(p.BlockSize), "stream": p.SID})
	}
}

// catchUp hears all that has come so far.
func (r *replay) catchUp() {
	for {
		select {
		case ev, open := <-r.sess.Events():
			if !open {
				return
			}
			r.heard = append(r.heard, ev)
		default:
			return
		}
	}
}

// payloads are those of the events of an action.
func (r *replay) payloads(a jingle.Action) (out []*xmltree.Element) {
	r.catchUp()
	for _, ev := range r.heard {
		if ev.Action == a {
			out = append(out, ev.Payload)
		}
	}
	return out
}

// infos checks which session-infos come through.
func (r *replay) infos() {
	if want, ok := r.want("infos"); ok {
		if got := len(r.payloads(jingle.SessionInfo)); strconv.Itoa(got) != want {
			r.t.Errorf("%d session-infos, want %s", got, want)
		}
	}
}

// verify has d judge the session-infos, and says how long it would wait for others; -1
// when it does not ask for any.
func (r *replay) verify(d Dialect) (p Proof, patience time.Duration, err error) {
	patience = -1
	p, err = d.Verify(r.t.Context(), func(most time.Duration, late error, look func(*xmltree.Element) (bool, error)) error {
		patience = most
		for _, info := range r.payloads(jingle.SessionInfo) {
			if found, err := look(info); found || err != nil {
				return err
			}
		}
		return late
	}, profile.Whole(d.File().Size), nil)
	return p, patience, err
}

// checksum judges the checksums among the infos over the bytes of <wire/>.
func (r *replay) checksum(d Dialect) {
	want, ok := r.want("checksum")
	if !ok {
		return
	}
	e, known := d.(*encryptedFile)
	if known {
		_, _ = io.WriteString(e.sum, r.file.ChildText("", "wire"))
	}
	_, patience, err := r.verify(d)
	if known && (patience > 0) != (want != "ignored") && err == nil {
		r.t.Errorf("waited for: %s", patience)
	}
	got := "right"
	switch {
	case err != nil && fault.New(err, true).Code == exitcode.Integrity:
		got = "wrong"
	case err != nil:
		r.t.Error(err)
	case !known || len(r.payloads(jingle.SessionInfo)) > 0 && len(e.sum.matched) == 0, want == "ignored":
		got = "ignored"
	}
	if got != want {
		r.t.Errorf("checksum %s, want %s (%v)", got, want, err)
	}
}

// offering is the initiator's part.
func (r *replay) offering() {
	t := r.t
	c, err := jingle.ParseContent(r.file.Child("", "offer").Child(jingle.NS, "content"))
	if err != nil {
		t.Fatal(err)
	}
	if r.sess, err = r.m.Initiate(t.Context(), replayJuliet, replaySID, c); err != nil {
		t.Fatal(err)
	}
	r.receive("stanza")
	r.catchUp()
	if i := slices.IndexFunc(r.heard, func(ev jingle.Event) bool { return ev.Action == jingle.SessionAccept }); i >= 0 {
		if _, no := r.want("not-accepted"); no {
			t.Error("accepted")
		}
		a := *r.heard[i].Content
		r.transport(a.Transport)
		// Elements that other clients echo of our offer, or add to it, decide nothing.
		for _, f := range []Form{FormPlaintext, FormConversations, FormDraft, FormEncryptedFile, FormJET} {
			got, err := New(f, "", OtherClient).ReadAccept(a, 300000, 1<<20)
			if want := (Accepted{Span: profile.Whole(300000)}); err != nil || got != want {
				t.Errorf("form %d: %+v, %v", f, got, err)
			}
		}
	} else if _, no := r.want("not-accepted"); !no {
		t.Error("not accepted")
	}
	r.receive("then")
	r.says()
	r.infos()
	infos, replaces := r.payloads(jingle.TransportInfo), r.payloads(jingle.TransportReplace)
	for name, all := range map[string][]*xmltree.Element{"transport-infos": infos, "replaces": replaces} {
		if _, ok := r.want(name); ok {
			r.attrs(map[string]string{name: strconv.Itoa(len(all))})
		}
	}
	if want, ok := r.want("info"); ok {
		x, err := s5b.ParseTransport(infos[0])
		if err != nil {
			t.Fatal(err)
		}
		got := x.Used
		switch {
		case x.Failed:
			got = "error"
		case x.Activated:
			got = "activated"
		case x.ProxyError:
			got = "proxy-error"
		case len(x.Candidates) > 0:
			got = "candidate " + x.Candidates[0].Type
		}
		if got != want {
			t.Errorf("transport-info %q, want %q", got, want)
		}
	}
	r.end()
}

// end checks how the session ended, and what that means to a sender that had sent
// a part of the file.
func (r *replay) end() {
	byPeer, ok1 := r.want("ended")
	byUs, ok2 := r.want("ended-by-us")
	select {
	case <-r.sess.Done():
		reason, peer := r.sess.Ended()
		if want := map[bool]string{true: byPeer, false: byUs}[peer]; reason.Condition != want {
			r.t.Errorf("ended with %v (by the peer: %t), want %q", reason, peer, want)
		}
		if code, ok := r.want("code"); ok {
			if got := strconv.Itoa(int(fault.New(&fault.Ended{Reason: reason}, true).Code)); got != code {
				r.t.Errorf("code %s, want %s", got, code)
			}
		}
	default:
		if ok1 || ok2 {
			r.t.Error("not ended")
		}
	}
}

// attrs compares what there is with the attributes of <expect/> that name it.
func (r *replay) attrs(got map[string]string) {
	r.t.Helper()
	for name, value := range got {
		if w, ok := r.want(name); ok && w != value {
			r.t.Errorf("%s is %q, want %q", name, value, w)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
