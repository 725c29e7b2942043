package route

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/fault"
	"jetsend/internal/jingle"
	"jetsend/internal/jingle/ibb"
	"jetsend/internal/jingle/s5b"
	"jetsend/internal/xmltree"
)

// TestRoutes: each way to a path, and both ends have the same one. All of it is in
// memory: what is dialled and where one listens is the configuration's to say.
func TestRoutes(t *testing.T) {
	nowhere := func(a *account) { a.s5b.Advertise = []string{"192.0.2.3:1"} }
	for name, tt := range map[string]struct {
		opt, theirs     Options
		change          func(a, b *account)
		transport, kind string
		err             error
	}{
		"direct":               {transport: S5B, kind: "direct"},
		"only ours":            {change: func(_, b *account) { nowhere(b) }, transport: S5B, kind: "direct"},
		"only theirs":          {change: func(a, _ *account) { nowhere(a) }, transport: S5B, kind: "direct"},
		"in-band at once":      {opt: Options{Transports: []string{IBB}}, transport: IBB},
		"to in-band alone":     {theirs: Options{Transports: []string{IBB}}, transport: IBB},
		"nobody is reached":    {change: func(a, b *account) { nowhere(a); nowhere(b) }, transport: IBB},
		"no direct connection": {opt: Options{NoDirect: true}, theirs: Options{NoDirect: true}, transport: IBB},
		"in-band is refused": {
			change: func(a, b *account) { nowhere(a); nowhere(b) }, theirs: Options{Transports: []string{S5B}}, err: s5b.ErrNoCandidate,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newPair(t)
				if tt.change != nil {
					tt.change(a, b)
				}
				ours, peers := negotiate(t, a, b, tt.opt, tt.theirs)
				if tt.err != nil {
					// We hear of a refusal, or of the end of the session.
					if ours.err == nil || !errors.Is(peers.err, tt.err) && !errors.Is(peers.err, fault.ErrNoTransport) {
						t.Errorf("%v, %v", ours.err, peers.err)
					}
					return
				}
				if err := errors.Join(ours.err, peers.err); err != nil {
					t.Fatal(err)
				}
				for who, p := range map[string]*Path{"ours": ours.path, "theirs": peers.path} {
					if p.Transport != tt.transport || p.Candidate != tt.kind {
						t.Errorf("%s: %s %s", who, p.Transport, p.Candidate)
					}
				}
				// Its id is that of the transport that was offered, unless that was replaced.
				replaced := tt.transport == IBB && tt.opt.Order()[0] != IBB
				if sid := ours.path.SID; sid == "" || sid != peers.path.SID || (sid == ours.offered) == replaced {
					t.Errorf("the bytestream %q for us, %q for the other end, %q was offered", sid, peers.path.SID, ours.offered)
				}
				if tapped := ours.path.Tap(io.Discard); tapped.SID != ours.path.SID {
					t.Errorf("tapped it is %q", tapped.SID)
				}
				go func() {
					_, _ = ours.path.Write([]byte("hello"))
					_ = ours.path.CloseWrite()
					_ = ours.path.Close()
				}()
				got := make([]byte, 5)
				if _, err := io.ReadFull(peers.path, got); err != nil || string(got) != "hello" {
					t.Errorf("%q, %v", got, err)
				}
				_ = peers.path.Close()
			})
		})
	}
}

// TestNoTransport: what both ends do not allow is not offered and not answered.
func TestNoTransport(t *testing.T) {
	a, _ := newPair(t)
	if _, err := a.finder.Offer(t.Context(), Peer{JID: juliet, Transports: []string{S5B}}, Options{Transports: []string{IBB}}); !errors.Is(err, fault.ErrNoTransport) {
		t.Error(err)
	}
	offered := ibb.NewTransport(4096).Element()
	if _, err := a.finder.Answer(t.Context(), Peer{JID: juliet}, Options{Transports: []string{S5B}}, offered); !errors.Is(err, fault.ErrNoTransport) {
		t.Error(err)
	}
}

// TestSilentResponder: a receiver that lists no candidate and reports on none of ours, as
// Conversations does that is told to use relays and has none, is offered in-band after
// five seconds. Its reports after that change nothing.
func TestSilentResponder(t *testing.T) {
	for name, tt := range map[string]struct {
		answer jingle.Action
		late   string // reported behind our transport-replace
	}{
		"accepts in-band":                 {jingle.TransportAccept, ""},
		"reports an error late":           {jingle.TransportAccept, "candidate-error"},
		"reports a candidate late":        {jingle.TransportAccept, "candidate-used"},
		"refuses in-band":                 {jingle.TransportReject, ""},
		"reports late and refuses it all": {jingle.TransportReject, "candidate-used"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, _ := newPair(t)
			r, err := a.finder.Offer(t.Context(), Peer{JID: juliet, Transports: []string{S5B, IBB}}, Options{NoDirect: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			sid := r.Element().Attr("sid")
			s5 := func(child *xmltree.Element) *xmltree.Element {
				return xmltree.New(s5b.NS, "transport", child).Set("sid", sid)
			}
			content := func(transport *xmltree.Element) *xmltree.Element {
				return xmltree.New(jingle.NS, "content", transport).Set("creator", "initiator").Set("name", "a-file")
			}
			a.script = func(action jingle.Action, x *xmltree.Element) {
				if action != jingle.TransportReplace {
					return
				}
				proposed := x.Child(jingle.NS, "content").Child(ibb.NSTransport, "transport")
				if tt.late != "" {
					a.says(t, jingle.TransportInfo, "sid", content(s5(xmltree.New(s5b.NS, tt.late).Set("cid", "x"))))
				}
				a.says(t, tt.answer, "sid", content(proposed.Clone()))
			}
			c := jingle.Content{Name: "a-file", Description: jingle.Description(&jingle.File{Size: 5}), Transport: r.Element()}
			s, err := a.jingle.Initiate(t.Context(), juliet, "sid", c)
			if err != nil {
				t.Fatal(err)
			}
			a.says(t, jingle.SessionAccept, "sid", content(s5(nil)))
			<-s.Events()
			begun := time.Now()
			got := connect(t.Context(), r, s, s5(nil))
			if took := time.Since(begun); took != 5*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
			switch {
			case tt.answer == jingle.TransportReject:
				if !errors.Is(got.err, s5b.ErrNoCandidate) {
					t.Errorf("%s: %v", name, got.err)
				}
			case got.err != nil || got.path.Transport != IBB || got.path.SID == sid || got.path.SID == "":
				t.Errorf("%s: %+v, %v", name, got.path, got.err)
			default:
				_ = got.path.Close()
			}
		})
	}
}

// TestAhead: a jetsend's candidates are dialled when its offer is accepted, those of other
// clients when they have the accept: Gajim listens only then.
func TestAhead(t *testing.T) {
	for jetsend, want := range map[bool]int{true: 1, false: 0} {
		synctest.Test(t, func(t *testing.T) {
			a, b := newPair(t)
			offer, err := a.finder.Offer(t.Context(), Peer{JID: juliet, Transports: []string{S5B}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer offer.Close()
			answer, err := b.finder.Answer(t.Context(), Peer{JID: romeo, Jetsend: jetsend}, Options{}, offer.Element())
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Close()
			answer.Ahead()
			offer.Ahead() // an initiator does not know where
			synctest.Wait()
			if a.net.dials != want {
				t.Errorf("%d connections ahead to a jetsend: %t", a.net.dials, jetsend)
			}
		})
	}
}
