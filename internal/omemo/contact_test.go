package omemo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// What is wrong with a bundle.
func TestBadBundles(t *testing.T) {
	p := newParty(t, newServer(), romeo, Config{})
	good := p.s.get(romeo, p.bundleNode())
	key := func(e *xmltree.Element, name string) *xmltree.Element { return e.Child(NS, name) }
	one := make([]byte, publicKeySize)
	one[0], one[1] = keyType, 1
	for name, change := range map[string]func(e *xmltree.Element){
		"another element":     func(e *xmltree.Element) { e.Name.Space = "urn:x" },
		"no signed prekey":    func(e *xmltree.Element) { e.Children = e.Children[1:] },
		"no signature":        func(e *xmltree.Element) { e.Children = append(e.Children[:1:1], e.Children[2:]...) },
		"no identity key":     func(e *xmltree.Element) { e.Children = append(e.Children[:2:2], e.Children[3:]...) },
		"signed prekey id":    func(e *xmltree.Element) { key(e, "signedPreKeyPublic").Set("signedPreKeyId", "2147483648") },
		"no signed prekey id": func(e *xmltree.Element) { key(e, "signedPreKeyPublic").Attrs = nil },
		"short signed prekey": func(e *xmltree.Element) { key(e, "signedPreKeyPublic").SetText("BQAA") },
		"bare identity key":   func(e *xmltree.Element) { keyText(key(e, "identityKey"), make([]byte, 32)) },
		"long identity key":   func(e *xmltree.Element) { keyText(key(e, "identityKey"), append(p.IdentityKey(), 0)) },
		"identity key type":   func(e *xmltree.Element) { keyText(key(e, "identityKey"), append([]byte{6}, p.IdentityKey()[1:]...)) },
		"low order identity":  func(e *xmltree.Element) { keyText(key(e, "identityKey"), one) },
		"zero signed prekey": func(e *xmltree.Element) {
			keyText(key(e, "signedPreKeyPublic"), append([]byte{5}, make([]byte, 32)...))
		},
		"short signature":      func(e *xmltree.Element) { keyText(key(e, "signedPreKeySignature"), make([]byte, 63)) },
		"long signature":       func(e *xmltree.Element) { keyText(key(e, "signedPreKeySignature"), make([]byte, 65)) },
		"wrong signature":      func(e *xmltree.Element) { flip(t, key(e, "signedPreKeySignature")) },
		"no base64":            func(e *xmltree.Element) { key(e, "identityKey").SetText("no base64!") },
		"prekey id":            func(e *xmltree.Element) { key(e, "prekeys").Children[7].Set("preKeyId", "-1") },
		"short prekey":         func(e *xmltree.Element) { key(e, "prekeys").Children[7].SetText("BQ==") },
		"prekey without a key": func(e *xmltree.Element) { key(e, "prekeys").Children[7].SetText("") },
	} {
		e, err := xmltree.Parse([]byte(good))
		if err != nil {
			t.Fatal(err)
		}
		change(e)
		if _, err := parseBundle(e); !errors.Is(err, ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, err := xmltree.Parse([]byte(strings.ReplaceAll(good, "<identityKey>", "<identityKey>\n  ")))
	if err != nil {
		t.Fatal(err)
	}
	prekeys := key(e, "prekeys")
	for range maxBundlePrekeys {
		prekeys.Add(prekeys.Children[0].Clone())
	}
	if b, err := parseBundle(e); err != nil || len(b.prekeys) != maxBundlePrekeys {
		t.Errorf("white space and many prekeys: %v", err)
	}
}

func keyText(e *xmltree.Element, key []byte) { e.SetText(keyElement("", key).Text) }

func TestDeviceLists(t *testing.T) {
	for in, want := range map[string]string{
		`<list xmlns='NS'/>`: "[]",
		`<list xmlns='NS'><device id='1'/><device id='2147483647'/></list>`:                           "[1 2147483647]",
		`<list xmlns='NS'><device id='3'/><device id='2'/><device id='3'/></list>`:                    "[3 2]",
		`<list xmlns='NS'><device id='0'/><device id='2147483648'/><device id='-1'/><device/></list>`: "[]",
		`<list xmlns='NS'><device id='x'/><device xmlns='o' id='4'/><device id=' 5 '/></list>`:        "[5]",
		`<devices xmlns='NS'/>`:                                  "",
		`<list xmlns='urn:xmpp:omemo:2'><device id='1'/></list>`: "",
	} {
		e, err := xmltree.Parse([]byte(strings.ReplaceAll(in, "NS", NS)))
		if err != nil {
			t.Fatal(err)
		}
		ids, err := parseList(e)
		if want == "" {
			if !errors.Is(err, ErrDeviceList) {
				t.Errorf("%s: %v", in, err)
			}
		} else if err != nil || fmt.Sprint(ids) != want {
			t.Errorf("%s: got %v (%v), want %s", in, ids, err, want)
		}
	}
}

// A contact cannot make us keep, or fetch for, more devices than there is
// reason for; and its list can change without end.
func TestDevicesAreBounded(t *testing.T) {
	j, _ := pair(t)
	before := j.s.count("items romeo@jet.test " + nodeBundles)
	for round := range 3 {
		list := xmltree.New(NS, "list")
		for i := range 4 * maxContactDevices {
			list.Add(xmltree.New(NS, "device").Set("id", fmt.Sprint(round*1000+i+1)))
		}
		j.s.put(romeo, NodeDevices, list.String())
		if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
			t.Fatal(err)
		}
		if n := j.one(`SELECT count(*) FROM devices`); n != maxContactDevices {
			t.Errorf("%d devices kept", n)
		}
		if n := j.s.count("items romeo@jet.test "+nodeBundles) - before; n != (round+1)*maxContactDevices {
			t.Errorf("%d bundles asked for", n)
		}
	}
}

// A contact who shows another device each time leaves no more than a few behind: the
// latest, and the one that the user decided about.
func TestLeftDevicesAreBounded(t *testing.T) {
	unlessShort(t)
	c := newClock()
	s := newServer()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	first := newParty(t, s, romeo, Config{})
	talk(j, first)
	j.exec(`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
		INSERT INTO devices SELECT 'romeo@jet.test', i, CAST(x'05' || randomblob(32) AS BLOB), 0, 1, i, 0 FROM n`)
	for _, table := range []string{"sessions (jid, device, record, updated)", "upkeep (jid, device)", "primed (jid, device, resource, base)"} {
		values := map[string]string{"s": "jid, device, x'7b7d', 1", "u": "jid, device", "p": "jid, device, 'orchard', ''"}[table[:1]]
		j.exec(`INSERT OR IGNORE INTO ` + table + ` SELECT ` + values + ` FROM devices WHERE NOT active`)
	}
	j.exec(`INSERT INTO trust (jid, identity_key, decision, decided) SELECT jid, identity_key, ?, 1 FROM devices WHERE device = 1`, Distrusted)
	j.exec(`UPDATE devices SET last_used = 2 WHERE device = 2`)
	for range 2 {
		j.push(first)
	}
	for table, want := range map[string]int{"devices": maxKnownDevices, "sessions": maxLeftDevices + 1, "upkeep": maxLeftDevices + 1, "primed": maxLeftDevices} {
		if n := j.one(`SELECT count(*) FROM ` + table + ` WHERE jid = 'romeo@jet.test'`); n != want {
			t.Errorf("%d %s, want %d", n, table, want)
		}
	}
	if n := j.one(`SELECT count(*) FROM devices WHERE device IN (1, 2) OR device BETWEEN 504 AND 1500 OR active`); n != maxKnownDevices {
		t.Errorf("others were forgotten: %d", n)
	}
	// Those that were used are not forgotten for new ones, however many.
	j.exec(`UPDATE devices SET last_used = 2`)
	fresh := newParty(t, s, romeo, Config{})
	j.push(fresh)
	if _, ok := j.known(fresh); ok || j.one(`SELECT count(*) FROM devices`) != maxKnownDevices {
		t.Error("one more device was taken")
	}
	j.exec(`UPDATE devices SET last_used = 0 WHERE device = 1000`)
	j.push(fresh)
	if _, ok := j.known(fresh); !ok || j.one(`SELECT count(*) FROM devices`) != maxKnownDevices || j.one(`SELECT count(*) FROM devices WHERE device = 1000`) != 0 {
		t.Error("there was room for one more")
	}
	talk(j, first)
}

// TestPinOutlivesList: a server that shows other devices than a contact has, as many as
// it likes, does not make us forget the key of one that was used: under the same id
// another key is a changed one.
func TestPinOutlivesList(t *testing.T) {
	c, s := newClock(), newServer()
	j, r := newParty(t, s, juliet, Config{Now: c.Now}), newParty(t, s, romeo, Config{Now: c.Now})
	talk(j, r)
	if err := j.MarkUsed(t.Context(), []Device{{JID: romeo.Bare(), ID: r.DeviceID()}}); err != nil {
		t.Fatal(err)
	}
	honest := s.get(romeo, NodeDevices)
	other := newParty(t, newServer(), romeo, Config{})
	forged := other.s.get(romeo, other.bundleNode())
	s.put(romeo, r.bundleNode(), forged)
	c.add(time.Hour)
	list := func(from, n int) string {
		x := xmltree.New(NS, "list")
		for i := range n {
			id := formatID(uint32(from + i))
			x.Add(xmltree.New(NS, "device").Set("id", id))
			s.put(romeo, nodeBundles+id, forged)
		}
		return x.String()
	}
	for i, shown := range []string{list(5000, maxContactDevices), list(9000, maxContactDevices), list(9999, 1), honest} {
		s.put(romeo, NodeDevices, shown)
		if err := j.Refresh(t.Context(), j.pep, romeo); err != nil {
			t.Fatal(err)
		}
		if d, ok := j.known(r); !ok || d.Fingerprint != r.Fingerprint() || d.New {
			t.Fatalf("list %d: its device is %+v", i, d)
		}
	}
	changed, err := j.ChangedKeys(t.Context(), j.pep, romeo)
	if err != nil || len(changed) != 1 || changed[0].Known != r.Fingerprint() {
		t.Errorf("changed keys: %v, %v", changed, err)
	}
}

// One device of several without a usable bundle is left out; with none left it
// is ErrNoDevice.
func TestDevicesLeftOut(t *testing.T) {
	unlessShort(t)
	s := newServer()
	c := newClock()
	j := newParty(t, s, juliet, Config{Now: c.Now})
	good, bad, gone := newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{}), newParty(t, s, romeo, Config{})
	s.put(romeo, bad.bundleNode(), damaged(bad).element().String())
	delete(s.nodes, "romeo@jet.test "+gone.bundleNode())
	only := func(want ...*party) {
		t.Helper()
		e, err := j.WrapPayload(t.Context(), j.pep, romeo, []byte("x"), Kept)
		if len(want) == 0 {
			if !errors.Is(err, ErrNoDevice) {
				t.Errorf("got %v", err)
			}
			return
		}
		if err != nil || len(e.Devices) != len(want) {
			t.Fatalf("wrapped for %+v (%v)", e, err)
		}
		for _, p := range want {
			p.mustOpen(j, e.Element, "x")
		}
	}
	only(good)
	if err := j.Distrust(t.Context(), romeo, good.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	only()
	fetched := s.count("items romeo@jet.test " + nodeBundles)
	only()
	if n := s.count("items romeo@jet.test " + nodeBundles); n != fetched {
		t.Errorf("%d useless bundles fetched again at once", n-fetched)
	}
	s.put(romeo, bad.bundleNode(), func() string { b, _, _ := bad.checkedBundle(t.Context()); return b.element().String() }())
	c.add(badFresh)
	only(bad)
}

// No devices: no list, an empty list, or only our own device in it.
func TestNoDevices(t *testing.T) {
	s := newServer()
	j := newParty(t, s, juliet, Config{})
	if _, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept); !errors.Is(err, ErrNoDevice) {
		t.Errorf("no list: %v", err)
	}
	if err := j.Refresh(t.Context(), j.pep, romeo); !errors.Is(err, ErrNoDevice) {
		t.Errorf("refresh: %v", err)
	}
	nurse := jid.MustParse("nurse@jet.test")
	s.put(nurse, NodeDevices, `<list xmlns='`+NS+`'/>`)
	if _, err := j.WrapPayload(t.Context(), j.pep, nurse, nil, Kept); !errors.Is(err, ErrNoDevice) {
		t.Errorf("empty list: %v", err)
	}
	if _, err := j.WrapPayload(t.Context(), j.pep, juliet, nil, Kept); !errors.Is(err, ErrNoDevice) {
		t.Errorf("only we ourselves: %v", err)
	}
}

// When the list cannot be had because the other side says so, the stored one
// serves; when the network is at fault, or nothing is stored, it is an error.
func TestListNotToBeHad(t *testing.T) {
	c := newClock()
	s := newServer()
	j, r := newParty(t, s, juliet, Config{Now: c.Now}), newParty(t, s, romeo, Config{})
	talk(j, r)
	lost := errors.New("stream lost")
	c.add(listFresh)
	s.before = failing("items romeo@jet.test "+NodeDevices, lost)
	if _, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept); !errors.Is(err, lost) {
		t.Errorf("stream lost: %v", err)
	}
	s.before = failing("items", stanza.NewError(stanza.Forbidden))
	r.mustOpen(j, j.wrap(r, "stored"), "stored")
	var answer *stanza.Error
	if _, err := j.WrapPayload(t.Context(), j.pep, jid.MustParse("nurse@jet.test"), nil, Kept); !errors.As(err, &answer) || errors.Is(err, ErrNoDevice) {
		t.Errorf("nothing stored: %v", err)
	}
	// The loss of the stream in a bundle's fetch is found in the error, too.
	j.exec(`DELETE FROM sessions`)
	s.before = failing("items romeo@jet.test "+nodeBundles, lost)
	if _, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept); !errors.Is(err, lost) {
		t.Errorf("stream lost at the bundle: %v", err)
	}
	s.before = nil
	r.mustOpen(j, j.wrap(r, "again"), "again") // and the device is not written off
}

// A contact that publishes our own identity key as its own is not believed: what
// we send there would come back to us as from there.
func TestOwnKeyOfAnother(t *testing.T) {
	j, r := pair(t)
	j.s.put(romeo, r.bundleNode(), j.s.get(juliet, j.bundleNode()))
	if _, err := j.WrapPayload(t.Context(), j.pep, romeo, nil, Kept); !errors.Is(err, ErrNoDevice) || !errors.Is(err, ErrBundle) {
		t.Errorf("got %v", err)
	}
	if d, _ := j.known(r); d.IdentityKey != nil {
		t.Error("our own key was pinned for a contact")
	}
}

// The list is fetched when it was not seen lately, and not otherwise.
func TestListFreshness(t *testing.T) {
	c := newClock()
	s := newServer()
	j, r := newParty(t, s, juliet, Config{Now: c.Now}), newParty(t, s, romeo, Config{})
	lists := func() int { return s.count("items romeo@jet.test " + NodeDevices) }
	base := lists() // romeo's own
	j.wrap(r, "x")
	j.wrap(r, "x")
	if n := lists() - base; n != 1 {
		t.Errorf("fetched %d times", n)
	}
	c.add(listFresh)
	j.wrap(r, "x")
	if n := lists() - base; n != 2 {
		t.Errorf("fetched %d times", n)
	}
	c.add(listFresh)
	j.push(r)
	j.wrap(r, "x")
	if n := lists() - base; n != 2 {
		t.Errorf("fetched %d times", n)
	}
}

// Pushed lists: of contacts that we have to do with, at once; strangers leave
// nothing behind.
func TestPushedLists(t *testing.T) {
	unlessShort(t)
	j, r := pair(t)
	j.unchanged("a stranger's list", func() { j.push(r) })
	talk(j, r)
	r2 := newParty(t, j.s, romeo, Config{})
	j.push(r)
	e := j.wrap(r, "x")
	r.mustOpen(j, e, "x")
	r2.mustOpen(j, e, "x")
	j.s.put(romeo, NodeDevices, `<list xmlns='`+NS+`'><device id='`+formatID(r2.DeviceID())+`'/></list>`)
	j.push(r)
	if _, err := r.open(j, j.wrap(r, "x")); !errors.Is(err, ErrNotForUs) {
		t.Errorf("removed device: %v", err)
	}
	// A device that has left may still be heard: its key is known.
	j.mustOpen(r, r.wrap(j, "x"), "x")
	for name, item := range map[string]*xmltree.Element{
		"nothing": nil, "no list": xmltree.New("", "item"), "another list": xmltree.New("", "item", xmltree.New("urn:x", "list")),
	} {
		j.unchanged(name, func() {
			if err := j.DeviceListChanged(t.Context(), romeo, item); !errors.Is(err, ErrDeviceList) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	if err := j.DeviceListChanged(t.Context(), jid.JID{}, xmltree.New(NS, "list")); err != nil || !j.needs() {
		t.Errorf("without a sender it is our own list: %v", err)
	}
}

// One device that hangs takes its time-out, not that of the others.
func TestBundlesAreFetchedAtOnce(t *testing.T) {
	s := newServer()
	j := newParty(t, s, juliet, Config{})
	var all []*party
	for range 3 {
		all = append(all, newParty(t, s, romeo, Config{}))
	}
	arrived := make(chan struct{}, len(all))
	together := make(chan struct{})
	go func() {
		defer close(together)
		for range all {
			<-arrived
		}
	}()
	s.before = func(ctx context.Context, call string) error {
		if !strings.HasPrefix(call, "items romeo@jet.test "+nodeBundles) {
			return nil
		}
		arrived <- struct{}{}
		select {
		case <-together: // all are here
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := j.WrapPayload(ctx, j.pep, romeo, nil, Kept)
	if err != nil || len(e.Devices) != len(all) {
		t.Errorf("wrapped for %+v: %v", e, err)
	}
	<-together
}

// TestBundleNotAsked: a stream that is lost while a bundle is fetched says nothing of
// the contact's devices.
func TestBundleNotAsked(t *testing.T) {
	s := newServer()
	j, r := newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{})
	lost := errors.New("stream lost")
	s.before = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "items romeo") && strings.Contains(call, "bundles") {
			return lost
		}
		return nil
	}
	_, err := j.WrapPayload(t.Context(), j.pep, romeo, []byte("x"), Kept)
	if !errors.Is(err, lost) || errors.Is(err, ErrNoDevice) {
		t.Errorf("wrap: %v", err)
	}
	if err := j.Rebuild(t.Context(), j.pep, romeo); !errors.Is(err, lost) || errors.Is(err, ErrNoDevice) {
		t.Errorf("rebuild: %v", err)
	}
	s.before = nil
	r.mustOpen(j, j.wrap(r, "x"), "x")
}
