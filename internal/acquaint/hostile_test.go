package acquaint

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

const malloryJID = "mallory@verona.example"

// change has the tap change the messages of one kind.
func change(name string, f func(*xmltree.Element)) func(*sent) []*sent {
	return func(m *sent) []*sent {
		if p := m.payload(); p != nil && p.Name.Local == name {
			f(p)
		}
		return []*sent{m}
	}
}

// set has an attribute say something else.
func set(name, value string) func(*xmltree.Element) {
	return func(e *xmltree.Element) { e.Set(name, value) }
}

// other is a valid spelling of other bytes: the first digit is another one.
func other(name string) func(*xmltree.Element) {
	return func(e *xmltree.Element) {
		v := []byte(e.Attr(name))
		v[0] ^= 1
		if v[0] < 'A' {
			v[0] = 'B'
		}
		e.Set(name, string(v))
	}
}

// device is one as a redemption names it.
func device(id uint32, letter byte) *xmltree.Element {
	return xmltree.New(invite.NS, "device").Set("id", fmt.Sprint(id)).Set("key", hex.EncodeToString(slices.Repeat([]byte{letter}, invite.KeySize)))
}

// redeemOf is what somebody would say who holds a link.
func redeemOf(l *invite.Link, k invite.Keys, from string, letters ...byte) *xmltree.Element {
	var n invite.Names
	for _, c := range letters {
		d := invite.Device{ID: uint32(c)}
		copy(d.Key[:], slices.Repeat([]byte{c}, invite.KeySize))
		n = append(n, d)
	}
	return l.Redeem(k, jid.MustParse(from), invite.NewNonce(), n).Element()
}

// hostile are what lying servers do while romeo redeems juliet's link. After each of them no key
// is verified that is not the right one, nobody is let in without a proof, and when the servers
// are honest again romeo gets in.
var hostile = map[string]func(s *servers, l *invite.Link) func(*sent) []*sent{
	"all is dropped":         func(*servers, *invite.Link) func(*sent) []*sent { return func(*sent) []*sent { return nil } },
	"another id":             func(*servers, *invite.Link) func(*sent) []*sent { return change("redeem", other("id")) },
	"another nonce":          func(*servers, *invite.Link) func(*sent) []*sent { return change("redeem", other("nonce")) },
	"another mac":            func(*servers, *invite.Link) func(*sent) []*sent { return change("redeem", other("mac")) },
	"no mac":                 func(*servers, *invite.Link) func(*sent) []*sent { return change("redeem", set("mac", "")) },
	"another client's":       func(*servers, *invite.Link) func(*sent) []*sent { return change("redeem", set("from", romeoJID+"/2")) },
	"a key of the server":    keyChanged(func(e *xmltree.Element) { e.Children = []*xmltree.Element{device('r', 'x')} }),
	"another device id":      keyChanged(func(e *xmltree.Element) { e.Children[0].Set("id", "7") }),
	"a device more":          keyChanged(func(e *xmltree.Element) { e.Children = append(e.Children, device('s', 'x')) }),
	"a device more, first":   keyChanged(func(e *xmltree.Element) { e.Children = append([]*xmltree.Element{device(1, 'x')}, e.Children...) }),
	"no device":              keyChanged(func(e *xmltree.Element) { e.Children = nil }),
	"another verdict":        func(*servers, *invite.Link) func(*sent) []*sent { return change("confirm", set("verdict", "revoked")) },
	"a verdict that is none": func(*servers, *invite.Link) func(*sent) []*sent { return change("confirm", set("verdict", "x")) },
	"a confirm with another mac": func(*servers, *invite.Link) func(*sent) []*sent {
		return change("confirm", other("mac"))
	},
	"a confirm with another nonce": func(*servers, *invite.Link) func(*sent) []*sent { return change("confirm", other("nonce")) },
	"the answer in juliet's name": func(s *servers, l *invite.Link) func(*sent) []*sent {
		return func(m *sent) []*sent {
			p := m.payload()
			if p == nil || p.Name.Local != "redeem" {
				return nil
			}
			c := xmltree.New(invite.NS, "confirm").Set("id", p.Attr("id")).Set("nonce", p.Attr("nonce")).Set("verdict", "accepted").Set("mac", p.Attr("mac"))
			return []*sent{{"iq", jid.MustParse(julietJID + "/1"), jid.MustParse(p.Attr("from")), []*xmltree.Element{c}}}
		}
	},
	"what romeo says comes back": func(*servers, *invite.Link) func(*sent) []*sent {
		return func(m *sent) []*sent {
			if p := m.payload(); p != nil && p.Name.Local == "redeem" {
				return []*sent{{"iq", jid.MustParse(julietJID + "/1"), jid.MustParse(p.Attr("from")), []*xmltree.Element{p}}}
			}
			return nil
		}
	},
	"the confirm goes back to juliet": func(*servers, *invite.Link) func(*sent) []*sent {
		return func(m *sent) []*sent {
			if p := m.payload(); p != nil && p.Name.Local == "confirm" {
				return []*sent{{"iq", m.to, m.from, m.children}}
			}
			return []*sent{m}
		}
	},
	"mallory says what romeo said": inMallorysName(func(p *xmltree.Element) *xmltree.Element { return p }),
	"mallory says it as her own":   inMallorysName(func(p *xmltree.Element) *xmltree.Element { return p.Set("from", malloryJID+"/1") }),
	"mallory shows the token": func(s *servers, l *invite.Link) func(*sent) []*sent {
		return func(m *sent) []*sent {
			if m.kind != "subscribe" || m.from.Bare().String() != romeoJID {
				return nil
			}
			return []*sent{{"subscribe", jid.MustParse(malloryJID + "/1"), m.to, []*xmltree.Element{l.Preauth()}}}
		}
	},
	"the link of another invitation": func(s *servers, l *invite.Link) func(*sent) []*sent {
		half := invite.NewLink(l.Issuer, l.Names)
		return func(m *sent) []*sent {
			p := m.payload()
			if p == nil || p.Name.Local != "redeem" {
				return nil
			}
			return []*sent{{"iq", jid.MustParse(romeoJID + "/1"), jid.MustParse(julietJID + "/1"), []*xmltree.Element{
				redeemOf(l, invite.KeysOf(l.ID, half.Secret), romeoJID+"/1", 'x'),
			}}}
		}
	},
}

func keyChanged(f func(*xmltree.Element)) func(*servers, *invite.Link) func(*sent) []*sent {
	return func(*servers, *invite.Link) func(*sent) []*sent { return change("redeem", f) }
}

// inMallorysName has what romeo says come from mallory instead, by every carrier.
func inMallorysName(f func(*xmltree.Element) *xmltree.Element) func(*servers, *invite.Link) func(*sent) []*sent {
	return func(*servers, *invite.Link) func(*sent) []*sent {
		return func(m *sent) []*sent {
			p := m.payload()
			if p == nil || p.Name.Local != "redeem" {
				return []*sent{m}
			}
			from, to := jid.MustParse(malloryJID+"/1"), jid.MustParse(julietJID)
			return []*sent{
				{"subscribe", from, to, []*xmltree.Element{f(p.Clone())}}, {"greet", from, to, []*xmltree.Element{f(p.Clone())}},
				{"iq", from, jid.MustParse(julietJID + "/1"), []*xmltree.Element{f(p.Clone())}},
			}
		}
	}
}

// TestHostile: what servers do while romeo redeems, and romeo afterwards.
func TestHostile(t *testing.T) {
	for name, begin := range hostile {
		t.Run(name, func(t *testing.T) {
			two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
				mallory := s.somebody(t, malloryJID)
				defer mallory.runs()()
				l := juliet.issues(Terms{})
				s.taps(begin(s, l))
				if err := romeo.redeems(l); err == nil {
					if name != "the confirm goes back to juliet" { // where the honest one may pass first
						wants(t, "romeo thinks he is verified; he knows", romeo.knows(), julietsKey)
					}
				}
				synctest.Wait()
				harmless(t, juliet, romeo, mallory)
				s.taps(nil)
				time.Sleep(10 * time.Minute) // that of the limits
				if err := romeo.redeems(l); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				met(t, juliet, romeo)
			})
		})
	}
}

// harmless fails if somebody knows a wrong key, or was let in who has proved nothing.
func harmless(t *testing.T, juliet, romeo, mallory *person) {
	t.Helper()
	for _, key := range juliet.knows() {
		if key != romeosKey {
			t.Errorf("juliet knows %s", key)
		}
	}
	for _, key := range romeo.knows() {
		if key != julietsKey {
			t.Errorf("romeo knows %s", key)
		}
	}
	wants(t, "mallory knows", mallory.knows())
	for _, who := range juliet.shows() {
		if who != romeoJID || len(juliet.knows()) == 0 {
			t.Errorf("juliet shows herself to %s", who)
		}
	}
	for _, who := range romeo.shows() {
		if who != julietJID || len(romeo.knows()) == 0 {
			t.Errorf("romeo shows himself to %s", who)
		}
	}
}

// TestUnchanged: each thing that a server changes by itself ends nothing: romeo does not take it
// for an answer, nor juliet for a redemption.
func TestUnchanged(t *testing.T) {
	for _, name := range []string{
		"another id", "another nonce", "another mac", "no mac", "another client's", "a key of the server", "another device id", "a device more",
		"a device more, first", "no device", "another verdict", "a verdict that is none", "a confirm with another mac", "a confirm with another nonce",
		"the answer in juliet's name", "what romeo says comes back", "mallory says what romeo said", "mallory says it as her own", "mallory shows the token",
		"the link of another invitation",
	} {
		t.Run(name, func(t *testing.T) {
			two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
				l := juliet.issues(Terms{})
				s.taps(hostile[name](s, l))
				if err := romeo.redeems(l); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("romeo has an answer: %v", err)
				}
				wants(t, "romeo knows", romeo.knows())
				if strings.HasPrefix(name, "a confirm") || strings.Contains(name, "verdict") {
					return // juliet has let him in, and says so again
				}
				wants(t, "juliet knows", juliet.knows())
				wants(t, "juliet shows herself to", juliet.shows())
			})
		})
	}
}

// TestReplayed: what was said once is worth nothing when it is said again: to juliet after she
// has removed romeo, and to romeo.
func TestReplayed(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{Uses: 5})
		if err := romeo.redeems(l); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		all := slices.Clone(s.all)
		juliet.account.sees, romeo.account.sees = map[jid.JID]bool{}, map[jid.JID]bool{}
		s.mu.Unlock()
		for _, p := range []*person{juliet, romeo} {
			if err := errors.Join(p.keys.forget(t.Context()), p.Book.Shut(t.Context(), romeo.account.self)); err != nil {
				t.Fatal(err)
			}
		}
		defer romeo.runs()()
		for range 3 {
			time.Sleep(10 * time.Minute)
			for _, m := range all {
				s.deliver(m)
			}
			synctest.Wait()
		}
		wants(t, "juliet knows", juliet.knows())
		wants(t, "romeo knows", romeo.knows())
		if slices.Contains(juliet.shows(), malloryJID) {
			t.Error("mallory is let in")
		}
	})
}

// TestStale: an answer to what romeo said before is none to what he says now.
func TestStale(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{})
		if err := juliet.Book.Revoke(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
		var kept []*sent
		s.taps(func(m *sent) []*sent {
			if p := m.payload(); p != nil && p.Name.Local == "confirm" {
				s.mu.Lock()
				defer s.mu.Unlock()
				kept = append(kept, m)
				return nil
			}
			return []*sent{m}
		})
		if err := romeo.redeems(l); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		synctest.Wait()
		again := jid.MustParse(romeoJID + "/2") // another run
		s.mu.Lock()
		romeo.account.self = again
		first := *kept[0]
		s.mu.Unlock()
		first.to = again
		s.taps(func(m *sent) []*sent {
			if p := m.payload(); p != nil && p.Name.Local == "redeem" {
				return []*sent{&first}
			}
			return nil
		})
		if err := romeo.redeems(l); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("romeo takes it: %v", err)
		}
	})
}

// TestMallorysOwn: mallory has a link of juliet's, too, and names romeo's key as hers. That says
// something about mallory's address, and nothing about romeo's.
func TestMallorysOwn(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		l, theirs := juliet.issues(Terms{}), juliet.issues(Terms{})
		mallory := s.somebody(t, malloryJID)
		mallory.keys.named = romeo.keys.named
		if err := mallory.redeems(theirs); err != nil {
			t.Fatal(err)
		}
		wants(t, "juliet knows", juliet.knows(), malloryJID+" r")
		// With her own link she is not romeo, and with the keys of hers not the holder of his.
		for _, e := range []*xmltree.Element{
			redeemOf(theirs, theirs.Keys(), romeoJID+"/1", 'm'), redeemOf(l, theirs.Keys(), romeoJID+"/1", 'm'), redeemOf(l, theirs.Keys(), malloryJID+"/1", 'm'),
		} {
			from := jid.MustParse(malloryJID + "/1")
			s.deliver(&sent{"iq", from, juliet.account.self, []*xmltree.Element{e}})
		}
		synctest.Wait()
		wants(t, "juliet knows", juliet.knows(), malloryJID+" r")
		if err := romeo.redeems(l); err != nil {
			t.Fatal(err)
		}
		wants(t, "juliet knows", juliet.knows(), malloryJID+" r", romeosKey)
	})
}

// TestAltered: a link whose address or keys somebody has changed on the way redeems nothing.
func TestAltered(t *testing.T) {
	for name, alter := range map[string]func(*invite.Link){
		"a key": func(l *invite.Link) { l.Names[0].Key[3] ^= 1 },
		"an id": func(l *invite.Link) { l.Names[0].ID++ },
		"a key more": func(l *invite.Link) {
			d := l.Names[0]
			d.ID++
			l.Names = append(slices.Clone(l.Names), d)
		},
		"the secret": func(l *invite.Link) { l.Secret[0] ^= 1 },
		"the id":     func(l *invite.Link) { l.ID[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			two(t, func(t *testing.T, _ *servers, juliet, romeo *person) {
				l := juliet.issues(Terms{})
				alter(l)
				if err := romeo.redeems(l); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				wants(t, "juliet knows", juliet.knows())
				wants(t, "romeo knows", romeo.knows())
			})
		})
	}
}

// TestToken: a token alone lets nobody in, unless the invitation says so: then one, of whom
// nothing is verified.
func TestToken(t *testing.T) {
	for _, any := range []bool{false, true} {
		two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
			l := juliet.issues(Terms{AnyClient: any, Uses: 5})
			asks := func(who string) {
				s.send(&sent{"subscribe", jid.MustParse(who + "/1"), jid.MustParse(julietJID), []*xmltree.Element{l.Preauth()}})
				synctest.Wait()
			}
			for _, who := range []string{"nurse@capulet.example", malloryJID} {
				s.somebody(t, who)
				asks(who)
			}
			var want []string
			if any {
				want = []string{"nurse@capulet.example"}
			}
			wants(t, "juliet shows herself to", juliet.shows(), want...)
			wants(t, "juliet knows", juliet.knows())
			// Who has proved more and was removed does not come back by less.
			if err := romeo.redeems(l); err != nil {
				t.Fatal(err)
			}
			juliet.removes(romeo)
			asks(romeoJID)
			wants(t, "juliet shows herself to", juliet.shows(), want...)
		})
	}
}

// TestOwnAddress: a server that says that a holder of a link is the issuer adds no key to the
// issuer's own.
func TestOwnAddress(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, _ *person) {
		l := juliet.issues(Terms{})
		from := jid.MustParse(julietJID + "/x")
		s.deliver(&sent{"iq", from, juliet.account.self, []*xmltree.Element{redeemOf(l, l.Keys(), julietJID+"/x", 'x')}})
		synctest.Wait()
		wants(t, "juliet knows", juliet.knows())
	})
}

// TestKnown: whoever has a link that is for anybody, and a server that says that they are a contact
// with verified keys, adds none to these. One that is made for the contact does.
func TestKnown(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		if err := romeo.redeems(juliet.issues(Terms{})); err != nil {
			t.Fatal(err)
		}
		romeo.keys.named = []omemo.Device{deviceOf('x')}
		var verdict *VerdictError
		if err := romeo.redeems(juliet.issues(Terms{})); !errors.As(err, &verdict) || verdict.Verdict != invite.Known || verdict.Error() == "" {
			t.Errorf("%v", err)
		}
		wants(t, "juliet knows", juliet.knows(), romeosKey)
		if err := romeo.redeems(juliet.issues(Terms{Bound: jid.MustParse(romeoJID)})); err != nil {
			t.Error(err)
		}
		wants(t, "juliet knows", juliet.knows(), romeosKey, "romeo@montague.example x")
	})
}

// TestFlood: what strangers say costs a bounded number of looks, and keeps nobody out for long.
func TestFlood(t *testing.T) {
	two(t, func(t *testing.T, s *servers, juliet, romeo *person) {
		l := juliet.issues(Terms{})
		for i := range 3000 {
			from := fmt.Sprintf("m%d@verona.example/1", i%1500)
			e := redeemOf(invite.NewLink(l.Issuer, l.Names), l.Keys(), from, 'm')
			juliet.account.onPresence(context.Background(), stanza.Presence{From: jid.MustParse(from), Children: []*xmltree.Element{e}})
			if n := len(juliet.waiting); n > maxWaiting {
				t.Fatalf("%d wait", n)
			}
		}
		synctest.Wait()
		if n := len(juliet.warned()); n == 0 || n > 3 {
			t.Errorf("juliet is told %d times", n)
		}
		if n := juliet.looks.Len(); n > maxKnown {
			t.Errorf("%d addresses have an account", n)
		}
		if tokens := juliet.all.Tokens(); tokens > 1 {
			t.Errorf("%v looks are left", tokens)
		}
		if err := romeo.redeems(l); err != nil {
			t.Errorf("romeo, a little later: %v", err)
		}
		met(t, juliet, romeo)
	})
}

// TestSilence: whatever somebody says, the answer to it is the same.
func TestSilence(t *testing.T) {
	two(t, func(t *testing.T, _ *servers, juliet, _ *person) {
		l := juliet.issues(Terms{})
		for _, e := range []*xmltree.Element{
			redeemOf(l, l.Keys(), romeoJID+"/1", 'r'), redeemOf(l, invite.Keys{}, romeoJID+"/1", 'r'), redeemOf(invite.NewLink(l.Issuer, l.Names), l.Keys(), romeoJID+"/1", 'r'),
			xmltree.New(invite.NS, "redeem"), xmltree.New(invite.NS, "x"), xmltree.New(invite.NS, "confirm"),
		} {
			for _, typ := range []stanza.IQType{stanza.Set, stanza.Get} {
				answer, err := juliet.account.onIQ(t.Context(), stanza.IQ{From: jid.MustParse(romeoJID + "/1"), Type: typ, Payload: e})
				var refused *stanza.Error
				if answer != nil || !errors.As(err, &refused) || refused.Condition != stanza.ServiceUnavailable {
					t.Errorf("%v, %v", answer, err)
				}
			}
		}
	})
}
