package invite

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/jid"
	"jetsend/internal/xmltree"
)

// example is the invitation of docs/protocol.md.
func example() *Link {
	l := &Link{Letter: Letter{Issuer: jid.MustParse("juliet@capulet.example")}}
	for i := range l.ID {
		l.ID[i] = byte(i)
	}
	for i := range l.Secret {
		l.Secret[i] = byte(0x40 + i)
	}
	l.Names = Named(letterDevice(27183, 0xa1), letterDevice(31415, 0xa2))
	return l
}

func letterDevice(id uint32, b byte) Device {
	d := Device{ID: id}
	copy(d.Key[:], slices.Repeat([]byte{b}, KeySize))
	return d
}

func exampleRedeem(l *Link) *Redeem {
	nonce := [NonceSize]byte(slices.Repeat([]byte{0x11}, NonceSize))
	return l.Redeem(l.Keys(), jid.MustParse("romeo@montague.example/orchard"), nonce, Named(letterDevice(16180, 0xb1)))
}

// The bytes of docs/protocol.md, which another implementation has computed.
const (
	exampleLink = "xmpp:juliet@capulet.example?roster;preauth=AAECAwQFBgcICQoLDA0ODw;" +
		"omemo-sid-27183=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1;" +
		"omemo-sid-31415=a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2;" +
		"jetsend=1.AAECAwQFBgcICQoLDA0ODw.QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8"
	exampleRedeemKey  = "b0a36f87d29482eba924680527d0bacc700875b02388204267ef70930f7cb0fc"
	exampleConfirmKey = "f3cdc4ff4122a3dcdbd3fa06180e65d596cd1d8b350d23d431fe0355c401f1f0"
	exampleRedeemMAC  = "300b30e8bda9223a2307b82a56cf8d1e69771b99ab83e30c8711279792aa6988"
	exampleConfirmMAC = "7acf3120a96281145429d0069cb61a62c008dc519e649281ebf691eb18779973"
)

// TestVectors: the worked example of docs/protocol.md.
func TestVectors(t *testing.T) {
	l := example()
	if l.String() != exampleLink {
		t.Errorf("link %s", l)
	}
	k, r := l.Keys(), exampleRedeem(l)
	c := r.Confirm(k, [NonceSize]byte(slices.Repeat([]byte{0x22}, NonceSize)), Accepted)
	for want, got := range map[string][]byte{exampleRedeemKey: k.Redeem[:], exampleConfirmKey: k.Confirm[:], exampleRedeemMAC: r.MAC[:], exampleConfirmMAC: c.MAC[:]} {
		if hex.EncodeToString(got) != want {
			t.Errorf("%x, want %s", got, want)
		}
	}
}

// TestCovered: each thing that a redemption is about, changed, is another redemption.
func TestCovered(t *testing.T) {
	for name, change := range map[string]func(*Link, *Redeem){
		"issuer":        func(l *Link, _ *Redeem) { l.Issuer = jid.MustParse("mallory@capulet.example") },
		"redeemer":      func(_ *Link, r *Redeem) { r.From = jid.MustParse("mallory@montague.example/orchard") },
		"client":        func(_ *Link, r *Redeem) { r.From = jid.MustParse("romeo@montague.example/garden") },
		"id":            func(_ *Link, r *Redeem) { r.ID[0] ^= 1 },
		"nonce":         func(_ *Link, r *Redeem) { r.Nonce[0] ^= 1 },
		"device":        func(_ *Link, r *Redeem) { r.Devices[0].ID++ },
		"key":           func(_ *Link, r *Redeem) { r.Devices[0].Key[31] ^= 1 },
		"device more":   func(_ *Link, r *Redeem) { r.Devices = append(r.Devices, letterDevice(20000, 1)) },
		"issuer's key":  func(l *Link, _ *Redeem) { l.Names[1].Key[0] ^= 1 },
		"issuer's less": func(l *Link, _ *Redeem) { l.Names = l.Names[:1] },
		"mac":           func(_ *Link, r *Redeem) { r.MAC[31] ^= 1 },
		// A device that changes sides is one of the other.
		"sides": func(l *Link, r *Redeem) { r.Devices, l.Names = append(r.Devices, l.Names[0]), l.Names[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			l := example()
			r := exampleRedeem(l)
			if err := l.Check(l.Keys(), r); err != nil {
				t.Fatal(err)
			}
			k := l.Keys()
			change(l, r)
			if l.Check(k, r) == nil {
				t.Error("it passes")
			}
		})
	}
}

// TestConfirm: an answer is one to this redemption, of this verdict.
func TestConfirm(t *testing.T) {
	l := example()
	k, r := l.Keys(), exampleRedeem(l)
	for _, v := range []Verdict{Accepted, Used, Expired, Revoked, Other} {
		c, err := ParseConfirm(r.Confirm(k, NewNonce(), v).Element())
		if err != nil || c.Verdict != v || r.Check(k, c) != nil {
			t.Errorf("%s: %+v, %v", v, c, err)
		}
	}
	for name, change := range map[string]func(*Redeem, *Confirm){
		"verdict":    func(_ *Redeem, c *Confirm) { c.Verdict = Accepted },
		"nonce":      func(_ *Redeem, c *Confirm) { c.Nonce[0] ^= 1 },
		"id":         func(_ *Redeem, c *Confirm) { c.ID[0] ^= 1 },
		"redemption": func(r *Redeem, _ *Confirm) { r.MAC[0] ^= 1 },
	} {
		r, c := exampleRedeem(l), r.Confirm(k, NewNonce(), Used)
		change(r, c)
		if r.Check(k, c) == nil {
			t.Errorf("another %s passes", name)
		}
	}
	if r.Check(Keys{k.Confirm, k.Redeem}, r.Confirm(k, NewNonce(), Used)) == nil {
		t.Error("either key will do")
	}
}

// TestParseRedeem reads what Element writes, and nothing that differs.
func TestParseRedeem(t *testing.T) {
	l := example()
	r := exampleRedeem(l)
	for _, from := range []jid.JID{r.From, r.From.Bare()} {
		got, err := ParseRedeem(r.Element(), from)
		if err != nil || l.Check(l.Keys(), got) != nil {
			t.Errorf("from %s: %+v, %v", from, got, err)
		}
	}
	for _, from := range []string{"romeo@montague.example/garden", "mallory@montague.example", "montague.example"} {
		if _, err := ParseRedeem(r.Element(), jid.MustParse(from)); err == nil {
			t.Errorf("said by %s", from)
		}
	}
	many := func(e *xmltree.Element) {
		for i := range MaxDevices + 1 {
			e.Add(xmltree.New(NS, "device").Set("id", strings.Repeat("9", 1+i%8)).Set("key", strings.Repeat("ab", KeySize)))
		}
	}
	for name, change := range map[string]func(*xmltree.Element){
		"name":        func(e *xmltree.Element) { e.Name.Local = "confirm" },
		"name space":  func(e *xmltree.Element) { e.Name.Space = "x" },
		"bare":        func(e *xmltree.Element) { e.Set("from", "romeo@montague.example") },
		"no address":  func(e *xmltree.Element) { e.Set("from", "@") },
		"short id":    func(e *xmltree.Element) { e.Set("id", "AAECAwQFBgcICQoLDA0OD") },
		"padded":      func(e *xmltree.Element) { e.Set("id", e.Attr("id")+"==") },
		"spelling":    func(e *xmltree.Element) { e.Set("id", "AAECAwQFBgcICQoLDA0OD1") },
		"no mac":      func(e *xmltree.Element) { e.Set("mac", "") },
		"no devices":  func(e *xmltree.Element) { e.Children = nil },
		"many":        many,
		"twice":       func(e *xmltree.Element) { e.Add(e.Children[0].Clone()) },
		"descending":  func(e *xmltree.Element) { e.Add(e.Children[0].Clone().Set("id", "1")) },
		"zero":        func(e *xmltree.Element) { e.Children[0].Set("id", "0") },
		"leading":     func(e *xmltree.Element) { e.Children[0].Set("id", "016180") },
		"large":       func(e *xmltree.Element) { e.Children[0].Set("id", "2147483648") },
		"short key":   func(e *xmltree.Element) { e.Children[0].Set("key", "ab") },
		"key's type":  func(e *xmltree.Element) { e.Children[0].Set("key", "05"+e.Children[0].Attr("key")) },
		"no key":      func(e *xmltree.Element) { e.Children[0].Set("key", strings.Repeat("zz", KeySize)) },
		"other child": func(e *xmltree.Element) { e.Children[0].Name.Space = "x" },
	} {
		e := r.Element()
		change(e)
		if got, err := ParseRedeem(e, r.From); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLink reads what String writes, whatever else clients put into it.
func TestLink(t *testing.T) {
	want := example()
	for _, text := range []string{
		exampleLink, " " + exampleLink + "\n", strings.Replace(exampleLink, "xmpp:", "XMPP:", 1), strings.ReplaceAll(exampleLink, ";", "&"),
		exampleLink + ";name=Juliet", strings.Replace(exampleLink, "juliet@", "%6Auliet%40", 1), exampleLink + "#x",
		strings.Replace(exampleLink, strings.Repeat("a1", KeySize), strings.Repeat("A1", KeySize), 1),
	} {
		l, err := ParseLink(text)
		if err != nil || l.String() != want.String() {
			t.Errorf("%q: %v", text, err)
		}
	}
	if Token(exampleLink) != want.Token() || Token("xmpp:a@b?roster;preauth=x%2Fy") != "x/y" || Token("a@b") != "" || Token("xmpp:a@b?roster") != "" {
		t.Error("tokens")
	}
	ours := exampleLink[strings.Index(exampleLink, ";jetsend"):]
	for _, text := range []string{
		"", "juliet@capulet.example", "xmpp:juliet@capulet.example", "xmpp:juliet@capulet.example?roster;preauth=x", exampleLink[5:],
		strings.Replace(exampleLink, "juliet@", "", 1), strings.Replace(exampleLink, "example?", "example/x?", 1),
		strings.Replace(exampleLink, "jetsend=1.", "jetsend=2.", 1), exampleLink[:len(exampleLink)-1], exampleLink + "A", exampleLink + ".A",
		exampleLink + ours, strings.Replace(exampleLink, "27183", "x", 1), strings.Replace(exampleLink, "27183", "31415", 1),
		strings.Replace(exampleLink, "27183", "40000", 1), "xmpp:juliet@capulet.example?roster" + ours, strings.Replace(exampleLink, "a1", "1", 1),
	} {
		l, err := ParseLink(text)
		if err == nil {
			t.Errorf("%q is %+v", text, l)
		}
		if err != nil && strings.Contains(err.Error(), "QEFC") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// TestNamed keeps the first whatever comes, and each id once.
func TestNamed(t *testing.T) {
	var others []Device
	for i := range 2 * MaxDevices {
		others = append(others, letterDevice(uint32(2*MaxDevices-i), 1))
	}
	n := Named(letterDevice(maxDeviceID, 7), others...)
	if n.check() != nil || len(n) != MaxDevices || n[len(n)-1].ID != maxDeviceID {
		t.Errorf("%v", n)
	}
	if n := Named(letterDevice(1, 7), letterDevice(1, 8)); len(n) != 1 || n[0].Key[0] != 7 {
		t.Errorf("%v", n)
	}
	if NewLink(jid.MustParse("a@b/c"), n).Issuer.String() != "a@b" || *ParseToken(xmltree.New("", "presence", example().Preauth())) != example().ID {
		t.Error("link")
	}
	if ParseToken(xmltree.New("", "presence")) != nil || ParseToken(xmltree.New("", "presence", Preauth("x"))) != nil {
		t.Error("a token that is none of ours")
	}
}

// FuzzLink: whatever is pasted.
func FuzzLink(f *testing.F) {
	f.Add(exampleLink)
	f.Fuzz(func(t *testing.T, text string) {
		Token(text)
		l, err := ParseLink(text)
		if err != nil {
			return
		}
		again, err := ParseLink(l.String())
		if err != nil || again.String() != l.String() {
			t.Errorf("%q: %v", l, err)
		}
	})
}

// FuzzMessages: whatever a stranger says.
func FuzzMessages(f *testing.F) {
	r := exampleRedeem(example())
	for _, e := range []*xmltree.Element{r.Element(), r.Confirm(Keys{}, NewNonce(), Used).Element()} {
		f.Add(e.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := xmltree.Parse(b)
		if err != nil {
			return
		}
		ParseToken(e)
		if c, err := ParseConfirm(e); err == nil && r.Check(Keys{}, c) == nil && c.ID != r.ID {
			t.Errorf("%+v", c)
		}
		got, err := ParseRedeem(e, r.From)
		if err != nil {
			return
		}
		if again, err := ParseRedeem(got.Element(), r.From); err != nil || again.MAC != got.MAC {
			t.Errorf("%+v, %v", again, err)
		}
	})
}
