package omemo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// unannounced makes a device that was not announced yet.
func unannounced(t *testing.T, s *server, cfg Config) *party {
	t.Helper()
	return reopen(t, s, juliet, cfg, t.TempDir()+"/state.db")
}

func (p *party) needs() bool {
	p.t.Helper()
	need, err := p.NeedsAnnounce(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return need
}

func (p *party) announce() {
	p.t.Helper()
	if err := p.Announce(p.t.Context(), p.pep); err != nil {
		p.t.Fatal(err)
	}
}

// The bundle is published before the list, both once; the bundle's children are
// in the order of the schema.
func TestAnnounce(t *testing.T) {
	j := unannounced(t, newServer(), Config{})
	if !j.needs() {
		t.Error("a new device does not need to be announced")
	}
	j.announce()
	if j.needs() {
		t.Error("an announced device needs to be announced")
	}
	j.announce() // nothing to do
	var published []string
	for _, c := range j.s.calls {
		if strings.HasPrefix(c, "publish") {
			published = append(published, c)
		}
	}
	if want := []string{"publish juliet@jet.test " + j.bundleNode(), "publish juliet@jet.test " + NodeDevices}; !slices.Equal(published, want) {
		t.Errorf("published %q, want %q", published, want)
	}
	if got, want := j.s.get(juliet, NodeDevices), fmt.Sprintf(`<list xmlns='%s'><device id='%d'/></list>`, NS, j.DeviceID()); got != want {
		t.Errorf("list %s, want %s", got, want)
	}
	e, err := xmltree.Parse([]byte(j.s.get(juliet, j.bundleNode())))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range e.Children {
		names = append(names, c.Name.Local)
	}
	if want := []string{"signedPreKeyPublic", "signedPreKeySignature", "identityKey", "prekeys"}; !slices.Equal(names, want) {
		t.Errorf("children %q, want %q", names, want)
	}
	if n := len(e.Child(NS, "prekeys").All(NS, "preKeyPublic")); n != prekeyTarget {
		t.Errorf("%d prekeys", n)
	}
}

// A device that joins while another publishes its bundle stays in the list.
func TestTwoJoin(t *testing.T) {
	s := newServer()
	j, k := unannounced(t, s, Config{}), unannounced(t, s, Config{})
	s.before = func(_ context.Context, call string) error {
		if call == "publish juliet@jet.test "+j.bundleNode() {
			s.before = nil
			k.announce()
		}
		return nil
	}
	j.announce()
	want := fmt.Sprintf(`<list xmlns='%s'><device id='%d'/><device id='%d'/></list>`, NS, k.DeviceID(), j.DeviceID())
	if got := s.get(juliet, NodeDevices); got != want {
		t.Errorf("list %s, want %s", got, want)
	}
}

// The list is merged: what others put there stays, whatever it is.
func TestListIsMerged(t *testing.T) {
	j := unannounced(t, newServer(), Config{})
	j.s.put(juliet, NodeDevices, `<list xmlns='`+NS+`' x='1'><device id='5' label='phone'/><device id='4294967295'/><other xmlns='urn:o'/></list>`)
	j.announce()
	want := fmt.Sprintf(`<list xmlns='%s' x='1'><device id='5' label='phone'/><device id='4294967295'/><other xmlns='urn:o'/><device id='%d'/></list>`, NS, j.DeviceID())
	if got := j.s.get(juliet, NodeDevices); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if err := j.Withdraw(t.Context(), j.pep); err != nil {
		t.Fatal(err)
	}
	want = `<list xmlns='` + NS + `' x='1'><device id='5' label='phone'/><device id='4294967295'/><other xmlns='urn:o'/></list>`
	if got := j.s.get(juliet, NodeDevices); got != want {
		t.Errorf("after logout: got %s\nwant %s", got, want)
	}
	if got := j.s.get(juliet, j.bundleNode()); got != "" {
		t.Error("the bundle is still there after logout")
	}
	if !j.needs() {
		t.Error("withdrawn and announced at the same time")
	}
	if err := j.Withdraw(t.Context(), j.pep); err != nil { // nothing is left to do
		t.Error(err)
	}
	j.announce()
	if j.needs() || j.s.get(juliet, j.bundleNode()) == "" {
		t.Error("announced again, but not published")
	}
}

// A list that cannot be read is not overwritten, and nothing is published then.
func TestListIsNotOverwritten(t *testing.T) {
	for name, breakIt := range map[string]func(s *server){
		"error": func(s *server) {
			s.before = failing("items juliet@jet.test "+NodeDevices, stanza.NewError("internal-server-error"))
		},
		"forbidden": func(s *server) { s.before = failing("items", stanza.NewError(stanza.Forbidden)) },
		"no list":   func(s *server) { s.put(juliet, NodeDevices, `<devices xmlns='urn:other'/>`) },
	} {
		j := unannounced(t, newServer(), Config{})
		breakIt(j.s)
		if err := j.Announce(t.Context(), j.pep); err == nil {
			t.Errorf("%s: announced", name)
		}
		if n := j.s.count("publish"); n != 0 || !j.needs() {
			t.Errorf("%s: %d nodes published", name, n)
		}
	}
}

// failing answers calls that begin with prefix with an error.
func failing(prefix string, err error) func(context.Context, string) error {
	return func(_ context.Context, call string) error {
		if strings.HasPrefix(call, prefix) {
			return err
		}
		return nil
	}
}

func TestTooManyDevices(t *testing.T) {
	list := func(n int) string {
		l := xmltree.New(NS, "list")
		for i := range n {
			l = mergeList(l, uint32(i+1))
		}
		return l.String()
	}
	j := unannounced(t, newServer(), Config{})
	j.s.put(juliet, NodeDevices, list(maxOwnDevices))
	if err := j.Announce(t.Context(), j.pep); !errors.Is(err, ErrTooManyDevices) {
		t.Errorf("with %d others: %v", maxOwnDevices, err)
	}
	if n := j.s.count("publish"); n != 0 {
		t.Errorf("%d nodes published all the same", n)
	}
	j.s.put(juliet, NodeDevices, list(maxOwnDevices-1))
	j.announce()
	// A device that was announced once comes back whatever the number.
	j.s.put(juliet, NodeDevices, list(maxOwnDevices+5))
	j.announce()
	// And so does one that the user asked for.
	k := unannounced(t, j.s, Config{ManyDevices: true})
	k.announce()
	if n := strings.Count(j.s.get(juliet, NodeDevices), "<device "); n != maxOwnDevices+7 {
		t.Errorf("%d devices in the list", n)
	}
}

// Another device has our id already: its bundle is left alone.
func TestDeviceConflict(t *testing.T) {
	j := unannounced(t, newServer(), Config{})
	other := newParty(t, newServer(), juliet, Config{})
	theirs := other.s.get(juliet, other.bundleNode())
	j.s.put(juliet, j.bundleNode(), theirs)
	if err := j.Announce(t.Context(), j.pep); err == nil {
		t.Error("announced")
	}
	if j.s.get(juliet, j.bundleNode()) != theirs || j.s.get(juliet, NodeDevices) != "" {
		t.Error("the other device's bundle or the list was changed")
	}
}

// A used prekey is replaced, the bundle published again with 100 of them; only
// a message that used one calls for that.
func TestPrekeyRefill(t *testing.T) {
	j, r := pair(t)
	before := parsed(t, r)
	first, second := j.wrap(r, "x"), j.wrap(r, "y")
	r.mustOpen(j, first, "x")
	if !r.needs() {
		t.Fatal("a prekey was used, and the bundle need not be published")
	}
	r.announce()
	after := parsed(t, r)
	if len(after.prekeys) != prekeyTarget || after.signedID != before.signedID {
		t.Errorf("%d prekeys, signed prekey %d", len(after.prekeys), after.signedID)
	}
	gone := 0
	for _, k := range before.prekeys {
		if !slices.ContainsFunc(after.prekeys, func(a prekeyPublic) bool { return a.id == k.id && string(a.key) == string(k.key) }) {
			gone++
		}
	}
	if gone != 1 {
		t.Errorf("%d prekeys replaced", gone)
	}
	r.mustOpen(j, second, "y") // another prekey message of the same session
	talk(r, j)
	if r.needs() {
		t.Error("no prekey was used, and the bundle has to be published")
	}
	if n := r.s.count("publish romeo@jet.test " + r.bundleNode()); n != 2 {
		t.Errorf("bundle published %d times", n)
	}
}

// parsed is the bundle that the server has.
func parsed(t *testing.T, p *party) *bundle {
	t.Helper()
	b, err := fetchBundle(t.Context(), p.pep, address{p.self, p.DeviceID()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever happened to the nodes on the server, announcing puts it right.
func TestAnnounceRepairs(t *testing.T) {
	j := newParty(t, newServer(), juliet, Config{})
	want := j.s.get(juliet, j.bundleNode())
	for name, breakIt := range map[string]func(){
		"bundle gone":    func() { delete(j.s.nodes, "juliet@jet.test "+j.bundleNode()) },
		"bundle damaged": func() { j.s.put(juliet, j.bundleNode(), damaged(j).element().String()) },
		"bundle garbage": func() { j.s.put(juliet, j.bundleNode(), `<x/>`) },
		"fewer prekeys": func() {
			b := parsed(t, j)
			b.prekeys = b.prekeys[:99]
			j.s.put(juliet, j.bundleNode(), b.element().String())
		},
		"list gone": func() { delete(j.s.nodes, "juliet@jet.test "+NodeDevices) },
	} {
		breakIt()
		j.announce()
		if j.s.get(juliet, j.bundleNode()) != want || !strings.Contains(j.s.get(juliet, NodeDevices), formatID(j.DeviceID())) {
			t.Errorf("%s: not put right", name)
		}
	}
}

// Somebody took us off the list: the push says so.
func TestTakenOffTheList(t *testing.T) {
	j := newParty(t, newServer(), juliet, Config{})
	ours := j.s.get(juliet, NodeDevices)
	j.s.put(juliet, NodeDevices, `<list xmlns='`+NS+`'><device id='9'/></list>`)
	j.push(j)
	if !j.needs() {
		t.Fatal("off the list, and nothing to announce")
	}
	j.announce()
	if j.needs() || ours == j.s.get(juliet, NodeDevices) {
		t.Error("not put back, or the other device was removed")
	}
}

// A prekey used while the bundle is on its way: what ends up on the server is
// the newest state.
func TestPrekeyUsedWhilePublishing(t *testing.T) {
	j, r := pair(t)
	first := j.wrap(r, "x")
	second := newParty(t, j.s, juliet, Config{}).wrap(r, "y")
	r.mustOpen(j, first, "x")
	once := sync.Once{}
	r.s.before = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "publish romeo") {
			once.Do(func() {
				if _, err := r.Unwrap(context.Background(), r.pep, juliet, second); err != nil {
					t.Error(err)
				}
			})
		}
		return nil
	}
	r.announce()
	b, _, err := r.checkedBundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !parsed(t, r).equal(b) || r.needs() {
		t.Error("the server has an older bundle")
	}
}

// Many processes announce at once: one list with the id once, the newest bundle.
func TestConcurrentAnnounce(t *testing.T) {
	s := newServer()
	first := unannounced(t, s, Config{})
	var wg sync.WaitGroup
	for range 4 {
		p := reopen(t, s, juliet, Config{}, first.path)
		wg.Go(func() {
			if err := p.Announce(context.Background(), p.pep); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.count("publish"); n != 2 {
		t.Errorf("%d times something was published, want bundle and list once", n)
	}
	if first.needs() {
		t.Error("not announced")
	}
}

// A process that died while publishing keeps the others waiting until its lease
// ends, and one that was too slow does not publish over them.
func TestLease(t *testing.T) {
	c := newClock()
	s := newServer()
	j := unannounced(t, s, Config{Now: c.Now})
	j.exec(`UPDATE publication SET holder = 'dead', held_until = ?`, c.Now().Add(leaseTime).UnixMilli())
	ctx, cancel := context.WithTimeout(t.Context(), 3*leasePoll)
	defer cancel()
	if err := j.Announce(ctx, j.pep); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the lease taken: %v", err)
	}
	c.add(leaseTime)
	j.announce()
	// A lease that ends in the far future was taken under another clock.
	j.exec(`UPDATE publication SET holder = 'dead', held_until = ?`, c.Now().Add(24*time.Hour).UnixMilli())
	j.announce()

	k := reopen(t, s, juliet, Config{Now: c.Now}, j.path)
	j.exec(`UPDATE publication SET generation = generation + 1`)
	j.exec(`DELETE FROM prekeys WHERE id = 3`)
	taken := false
	s.before = func(_ context.Context, call string) error {
		if strings.HasPrefix(call, "items juliet@jet.test "+NodeDevices) && !taken {
			taken = true
			c.add(leaseTime + time.Second)
			k.announce()
		}
		return nil
	}
	before := s.count("publish")
	if err := j.Announce(t.Context(), j.pep); !errors.Is(err, errLeaseLost) {
		t.Errorf("with the lease lost: %v", err)
	}
	if n := s.count("publish") - before; n != 1 || k.needs() {
		t.Errorf("published %d times", n)
	}
}

// What a real Dino publishes.
func TestDino(t *testing.T) {
	read := func(name string) *xmltree.Element {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := xmltree.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	ids, err := parseList(read("dino-0.4.2-devicelist.xml"))
	if err != nil || !slices.Equal(ids, []uint32{639432654, 377178693}) {
		t.Errorf("list: %v (%v)", ids, err)
	}
	b, err := parseBundle(read("dino-0.4.2-bundle.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if b.signedID != 1017577460 || len(b.prekeys) != 3 || fingerprint(b.identityKey) != "b2174761a7cfef3aea5ae6b685cd728b5354f6075f60eb4228e7626624639278" {
		t.Errorf("bundle: %d, %d prekeys, %s", b.signedID, len(b.prekeys), fingerprint(b.identityKey))
	}
	// A session with it can be started.
	j := newParty(t, newServer(), juliet, Config{})
	j.s.put(romeo, NodeDevices, read("dino-0.4.2-devicelist.xml").String())
	j.s.put(romeo, nodeBundles+"377178693", read("dino-0.4.2-bundle.xml").String())
	e, err := j.WrapPayload(t.Context(), j.pep, romeo, []byte("x"), Kept)
	if err != nil || len(e.Devices) != 1 || e.Devices[0].ID != 377178693 {
		t.Fatalf("wrapped for %+v: %v", e, err)
	}
	// And its prekey messages are well formed: to its other device, iv before keys.
	h, err := parseEnvelope(read("dino-0.4.2-message.xml"), 548787308)
	if err != nil || h.device != 377178693 || len(h.keys) != 1 || !h.keys[0].prekey || !h.hasPayload {
		t.Fatalf("envelope %+v: %v", h, err)
	}
	m, err := parseMessage(h.keys[0].data, true)
	if err != nil || string(m.identityKey()) != string(b.identityKey) {
		t.Errorf("prekey message: %v", err)
	}
}
