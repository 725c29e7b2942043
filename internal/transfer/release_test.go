package transfer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
	"jetsend/internal/xmltree"
	"jetsend/internal/xmpptest"
)

// insider is a peer that lies with the right keys: it rewrites what passes the
// tap of the sender, sealed elements included.
type insider struct {
	mu    sync.Mutex
	ts    *crypto.Secret
	offer *profile.Offer
	lie   func(in *insider, iq *xmltree.Element) bool // whether it changed something
	lies  int
}

func (in *insider) rewrite(_ xmpptest.Direction, raw []byte) [][]byte {
	iq, err := xmltree.Parse(raw)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil || in.lie == nil || in.ts == nil || iq.Child(jingle.NS, "jingle") == nil || !in.lie(in, iq) {
		return [][]byte{raw}
	}
	in.lies++
	return [][]byte{iq.Append(nil, "")}
}

func (in *insider) set(lie func(in *insider, iq *xmltree.Element) bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lie, in.lies = lie, 0
}

// replace seals x anew in place of the sealed element in parent.
func (in *insider) replace(parent *xmltree.Element, kind string, x *xmltree.Element) {
	sealed, err := profile.Seal(in.ts, kind, in.offer.Context(), x)
	if err != nil {
		panic(err)
	}
	for i, c := range parent.Children {
		if c.Is(profile.NS, "sealed") {
			parent.Children[i] = sealed
		}
	}
}

// cut makes a stage whose transfer is interrupted half way, with romeo behind the tap
// of an insider. The function that it returns sends the file again.
func cut(t *testing.T) (*stage, *insider, func() exitcode.Code) {
	t.Helper()
	in := &insider{}
	st := setStage(t, 1<<20, xmpptest.CutAt(1<<19))
	tap := xmpptest.StartTap(t, st.server, in.rewrite)
	cfg := st.romeo.cfg.S5B
	var o *offering
	st.romeo = online(t, st.server, tap.Addr, "romeo", false, func(ev event.Event) {
		if _, is := ev.(event.Offer); is {
			in.mu.Lock()
			in.ts, _ = crypto.SecretFrom(crypto.AES256GCM, o.talk.Dialect.Secret().Key(), o.talk.Dialect.Secret().IV())
			in.offer = o.talk.Dialect.Sealed()
			in.mu.Unlock()
		}
		st.out.report(ev)
	})
	listenAs(st.romeo, cfg)
	receiving(t, st.juliet, ReceiveOptions{Dir: st.dir, Accept: policy.Contacts})
	opt := SendOptions{To: jid.MustParse("juliet@jet.test"), Wait: time.Minute, AnswerTimeout: time.Minute, Route: route.Options{Transports: []string{route.S5B}}}
	send := func() exitcode.Code {
		src, err := source.Open(t.Context(), source.Named{Path: st.path})
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close(src)
		peers, err := st.romeo.choose(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		o = st.romeo.offering(opt, src, nil)
		defer waitIdle(t, st.juliet)
		return o.start(t.Context(), peers, "")
	}
	if code := send(); code != exitcode.Interrupted {
		t.Fatalf("code %d", code)
	}
	st.through(t)
	return st, in, send
}

// unreleased fails when anything but a partial file is there.
func (st *stage) unreleased(t *testing.T) {
	t.Helper()
	if names := list(t, st.dir); len(names) > 0 || count[event.Received](&st.in) > 0 {
		t.Errorf("released: %v", names)
	}
}

// TestWrongChecksum: a file put together from two sessions whose sealed SHA-256
// differs is not released, nothing of it is kept, and the next attempt begins at 0.
func TestWrongChecksum(t *testing.T) {
	st, in, send := cut(t)
	in.set(func(in *insider, iq *xmltree.Element) bool {
		sum := iq.Children[0].Child(jingle.NSFile, "checksum")
		if sum != nil {
			in.replace(sum, profile.KindChecksum, profile.Checksum{Transfer: in.offer.Transfer, Size: 1 << 20, SHA256: strings.Repeat("0", 64)}.Element())
		}
		return sum != nil
	})
	if code := send(); code != exitcode.Integrity || in.lies != 1 {
		t.Fatalf("code %d after %d lies", code, in.lies)
	}
	st.unreleased(t)
	if f, _ := last[event.Failed](&st.in); f.Code != int(exitcode.Integrity) {
		t.Errorf("%+v", f)
	}
	if entries, err := os.ReadDir(st.dir); err != nil || len(entries) > 0 {
		t.Errorf("kept: %v %v", entries, err)
	}
	in.set(nil)
	st.out.reset()
	if code := send(); code != exitcode.OK {
		t.Fatalf("code %d", code)
	}
	if r, resumed := last[event.Resumed](&st.out); resumed {
		t.Errorf("%+v", r)
	}
	st.arrived(t)
}

// TestDamagedPart: a bit that is flipped on the path costs the bytes of its session,
// and not those that the sender has compared before it.
func TestDamagedPart(t *testing.T) {
	st, _, send := cut(t)
	parts, err := filepath.Glob(filepath.Join(st.dir, ".jetsend-*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	before, err := os.Stat(parts[0])
	if err != nil || before.Size() == 0 {
		t.Fatal(before, err)
	}
	st.through(t, xmpptest.FlipBit(1<<18, 0))
	if code := send(); code != exitcode.Integrity {
		t.Fatalf("code %d", code)
	}
	waitIdle(t, st.juliet)
	st.unreleased(t)
	if after, err := os.Stat(parts[0]); err != nil || after.Size() != before.Size() {
		t.Fatalf("of %d bytes there is left: %v %v", before.Size(), after, err)
	}
	st.through(t)
	st.out.reset()
	if code := send(); code != exitcode.OK {
		t.Fatalf("code %d", code)
	}
	if r, _ := last[event.Resumed](&st.out); r.Offset != before.Size() {
		t.Errorf("%+v", r)
	}
	st.arrived(t)
}

// TestChecksumLost: without its sealed SHA-256 a file put together from two
// sessions is not released, even when all of its bytes and tags have come.
func TestChecksumLost(t *testing.T) {
	st, _, _ := cut(t)
	tap := xmpptest.StartTap(t, st.server, losing("checksum"))
	cfg := st.romeo.cfg.S5B
	failed, _ := last[event.Failed](&st.out)
	if err := st.romeo.journal.Forget(t.Context(), journal.Key{ID: failed.Transfer, Direction: journal.Send}, func(journal.Row) error { return nil }); err != nil {
		t.Fatal(err)
	}
	// A device that is not known to have the transfer cannot go on with it: a new one.
	st.romeo = online(t, st.server, tap.Addr, "romeo", false, st.out.report)
	listenAs(st.romeo, cfg)
	st.through(t, xmpptest.CutAt(1<<19))
	wantCode(t, st.send(t, RetryOptions{}), exitcode.Interrupted)
	waitIdle(t, st.juliet)
	st.through(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- st.romeo.Send(ctx, SendOptions{
			To: jid.MustParse("juliet@jet.test"), Files: []source.Named{{Path: st.path}}, Wait: time.Minute, AnswerTimeout: time.Minute,
		})
	}()
	_, err := tap.Wait(t.Context(), func(s xmpptest.Stanza) bool {
		return s.Dir == xmpptest.ToServer && contains(s.Raw, "<checksum")
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { // what is sent may not have come yet
		parts, _ := filepath.Glob(filepath.Join(st.dir, ".jetsend-*.part"))
		return slices.ContainsFunc(parts, func(part string) bool {
			got, _ := os.ReadFile(part)
			return bytes.Equal(got, st.data)
		})
	})
	st.unreleased(t)
	cancel(fault.ErrInterrupted)
	wantCode(t, <-ended, exitcode.Cancelled)
	waitIdle(t, st.juliet)
	st.unreleased(t)
	tap.SetRewrite(nil)
	before := carried(st.relay)
	if err := st.send(t, RetryOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := carried(st.relay) - before; n > 1000 {
		t.Errorf("%d bytes crossed again", n)
	}
	waitIdle(t, st.juliet)
	st.came(t) // beside what the device before this one had sent
}

// TestTamperedPrefix: somebody changed the partial file, and the server changes
// what is said about it. Nothing is released until everybody is honest, and then
// the right file.
func TestTamperedPrefix(t *testing.T) {
	st, in, send := cut(t)
	parts, err := filepath.Glob(filepath.Join(st.dir, ".jetsend-*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	part, err := os.OpenFile(parts[0], os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = part.WriteAt([]byte{st.data[1000] ^ 1}, 1000); err != nil {
		t.Fatal(err)
	}
	if err := part.Close(); err != nil {
		t.Fatal(err)
	}
	content := func(iq *xmltree.Element) *xmltree.Element {
		if j := iq.Children[0]; j.Attr("action") == "session-accept" {
			return j.Child(jingle.NS, "content")
		}
		return nil
	}
	lies := map[string]func(c *xmltree.Element){
		"no sealed accept": func(c *xmltree.Element) {
			for i, x := range c.Children {
				if x.Is(profile.NS, "sealed") {
					c.Children = append(c.Children[:i], c.Children[i+1:]...)
					return
				}
			}
		},
		"another sealed accept": func(c *xmltree.Element) {
			x := c.Child(profile.NS, "sealed")
			x.Text = changed(x.Text)
		},
		"another range": func(c *xmltree.Element) {
			c.Child(jingle.NSFile, "description").Child(jingle.NSFile, "file").Child(jingle.NSFile, "range").Set("offset", "2000")
		},
		"no range": func(c *xmltree.Element) {
			f := c.Child(jingle.NSFile, "description").Child(jingle.NSFile, "file")
			for i, x := range f.Children {
				if x.Is(jingle.NSFile, "range") {
					f.Children = append(f.Children[:i], f.Children[i+1:]...)
					return
				}
			}
		},
	}
	for name, lie := range lies {
		in.set(func(_ *insider, iq *xmltree.Element) bool {
			c := content(iq)
			if c != nil {
				lie(c)
			}
			return c != nil
		})
		if code := send(); code != exitcode.Integrity || in.lies == 0 {
			t.Errorf("%s: code %d after %d lies", name, code, in.lies)
		}
		st.unreleased(t)
	}
	in.set(nil)
	if code := send(); code != exitcode.OK {
		t.Fatalf("code %d", code)
	}
	st.arrived(t)
}

// TestLyingAccept: a receiver that seals nonsense gets nothing.
func TestLyingAccept(t *testing.T) {
	const size, limit = 1000, 600
	prefix := strings.Repeat("ab", 32)
	honest := profile.Accept{Transfer: "0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6", Offset: 400, Length: 600, Size: size, Prefix: prefix}
	wire := func(offset, length int64) *jingle.Range { return &jingle.Range{Offset: offset, Length: length} }
	for name, tt := range map[string]struct {
		change  func(a *profile.Accept, r **jingle.Range)
		attrs   map[string]string
		restart bool
		ok      bool
	}{
		"honest":                 {ok: true},
		"honest part":            {change: func(a *profile.Accept, r **jingle.Range) { a.Length, *r = 5, wire(400, 5) }, ok: true},
		"all is there":           {change: func(a *profile.Accept, r **jingle.Range) { a.Offset, a.Length, *r = size, 0, wire(size, -1) }, ok: true},
		"beyond the size":        {change: func(a *profile.Accept, r **jingle.Range) { a.Offset, a.Length, *r = size+1, 0, wire(size+1, -1) }},
		"over the end":           {change: func(a *profile.Accept, r **jingle.Range) { a.Length, *r = 601, wire(400, -1) }},
		"not to the end":         {change: func(a *profile.Accept, r **jingle.Range) { a.Length, *r = 599, wire(400, -1) }},
		"nothing":                {change: func(a *profile.Accept, r **jingle.Range) { a.Length, *r = 0, wire(400, 0) }},
		"more than a session":    {change: func(a *profile.Accept, r **jingle.Range) { a.Offset, a.Length, *r = 399, 601, wire(399, -1) }},
		"negative offset":        {attrs: map[string]string{"offset": "-1"}},
		"negative length":        {attrs: map[string]string{"length": "-600"}},
		"no offset":              {attrs: map[string]string{"offset": ""}},
		"offset that overflows":  {attrs: map[string]string{"offset": "9223372036854775808"}},
		"not the clear offset":   {change: func(_ *profile.Accept, r **jingle.Range) { *r = wire(0, -1) }},
		"not the clear length":   {change: func(a *profile.Accept, r **jingle.Range) { a.Length, *r = 5, wire(400, 6) }},
		"no clear range":         {change: func(_ *profile.Accept, r **jingle.Range) { *r = nil }},
		"offset without a hash":  {change: func(a *profile.Accept, _ **jingle.Range) { a.Prefix = "" }},
		"hash without an offset": {change: func(a *profile.Accept, r **jingle.Range) { a.Offset, a.Length, *r = 0, 5, wire(0, 5) }},
		"another size":           {change: func(a *profile.Accept, _ **jingle.Range) { a.Size++ }},
		"another transfer":       {change: func(a *profile.Accept, _ **jingle.Range) { a.Transfer = "1a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6" }},
		"after a restart":        {restart: true},
	} {
		t.Run(name, func(t *testing.T) {
			u := &upload{e: &core{cfg: Config{SessionLimit: limit}}, src: &source.Source{Size: size}}
			talk := sealedIn(t, profile.Offer{
				Restart: tt.restart, Transfer: honest.Transfer, SID: "s",
				Initiator: jid.MustParse("romeo@jet.test/a"), Responder: jid.MustParse("juliet@jet.test/b"), Device: 7,
			})
			a, r := honest, wire(400, -1)
			if tt.change != nil {
				tt.change(&a, &r)
			}
			c := jingle.Content{
				Creator: jingle.SenderInitiator, Name: dialect.ContentName, Senders: jingle.SenderInitiator,
				Description: jingle.Description(&jingle.File{Size: size, Range: r}), Transport: xmltree.New("urn:t", "transport"),
			}
			a.Digest = profile.ContentDigest(c)
			x := a.Element()
			for name, value := range tt.attrs {
				x.Set(name, value)
			}
			sealed, err := profile.Seal(talk.Dialect.Secret(), profile.KindAccept, talk.Dialect.Sealed().Context(), x)
			if err != nil {
				t.Fatal(err)
			}
			c.Extra = []*xmltree.Element{sealed}
			talk.Agreed, talk.Route = c, new(route.Route)
			s, err := u.checkAccept(talk)
			got := talk.Prefix
			if tt.ok {
				if err != nil || got != prefix || s != (profile.Span{Offset: a.Offset, Length: a.Length, Size: size}) {
					t.Errorf("%+v %q %v", s, got, err)
				}
				return
			}
			if code := fault.Of(err).CodeAt(true); code != exitcode.Integrity {
				t.Errorf("%+v code %s: %v", s, strconv.Itoa(int(code)), err)
			}
		})
	}
}
