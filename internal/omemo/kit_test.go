package omemo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
)

var (
	juliet = jid.MustParse("juliet@jet.test/balcony")
	romeo  = jid.MustParse("romeo@jet.test/orchard")
)

// server is the PEP of all accounts, in memory. Everything goes through XML
// text, as it would on the wire.
type server struct {
	mu    sync.Mutex
	nodes map[string]string // owner and node -> payload
	calls []string          // "items romeo@jet.test eu…:1"
	// before runs ahead of every call; an error is the answer.
	before func(ctx context.Context, call string) error
	draws  atomic.Int64
}

// draw has every sender take another one-time key than those before: that two take
// the same happens in life as well, and is healed, but seldom.
func (s *server) draw(n int) (int, error) { return int(s.draws.Add(1)) % n, nil }

func newServer() *server { return &server{nodes: make(map[string]string)} }

// account is the server as one account sees it: a PEP.
type account struct {
	s    *server
	self jid.JID
}

func (a account) enter(ctx context.Context, op string, owner jid.JID, node string) (string, error) {
	call := op + " " + owner.String() + " " + node
	a.s.mu.Lock()
	a.s.calls = append(a.s.calls, call)
	before := a.s.before
	a.s.mu.Unlock()
	if before != nil {
		if err := before(ctx, call); err != nil {
			return "", err
		}
	}
	return owner.String() + " " + node, ctx.Err()
}

func (a account) Publish(ctx context.Context, node, _ string, payload *xmltree.Element, open bool) error {
	if !open {
		return errors.New("not published as open")
	}
	key, err := a.enter(ctx, "publish", a.self, node)
	if err != nil {
		return err
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.nodes[key] = payload.String()
	return nil
}

func (a account) Items(ctx context.Context, owner jid.JID, node string) ([]*xmltree.Element, error) {
	key, err := a.enter(ctx, "items", owner, node)
	if err != nil {
		return nil, err
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	text, ok := a.s.nodes[key]
	if !ok {
		return nil, stanza.NewError(stanza.ItemNotFound)
	}
	payload, err := xmltree.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	return []*xmltree.Element{xmltree.New("http://jabber.org/protocol/pubsub", "item", payload).Set("id", "1")}, nil
}

func (a account) DeleteNode(ctx context.Context, node string) error {
	key, err := a.enter(ctx, "delete", a.self, node)
	if err != nil {
		return err
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if _, ok := a.s.nodes[key]; !ok {
		return stanza.NewError(stanza.ItemNotFound)
	}
	delete(a.s.nodes, key)
	return nil
}

func (s *server) put(owner jid.JID, node, payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[owner.Bare().String()+" "+node] = payload
}

func (s *server) get(owner jid.JID, node string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[owner.Bare().String()+" "+node]
}

// count returns how many calls there were that begin with prefix.
func (s *server) count(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// party is a device in a test.
type party struct {
	*Account
	t    testing.TB
	db   *sql.DB
	path string
	jid  jid.JID // full
	pep  account
	s    *server
}

// newParty makes a device and announces it.
func newParty(t testing.TB, s *server, j jid.JID, cfg Config) *party {
	t.Helper()
	p := reopen(t, s, j, cfg, filepath.Join(t.TempDir(), "state.db"))
	if err := p.Announce(t.Context(), p.pep); err != nil {
		t.Fatal(err)
	}
	return p
}

// reopen opens a device's state file.
func reopen(t testing.TB, s *server, j jid.JID, cfg Config, path string) *party {
	t.Helper()
	db, err := state.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	a, err := Open(t.Context(), db, j.Bare(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.draw = s.draw
	return &party{Account: a, t: t, db: db, path: path, jid: j, pep: account{s, j.Bare()}, s: s}
}

// pair makes two devices of two accounts.
func pair(t testing.TB) (j, r *party) {
	t.Helper()
	s := newServer()
	return newParty(t, s, juliet, Config{}), newParty(t, s, romeo, Config{})
}

// wrap wraps a payload, which must work.
func (p *party) wrap(to *party, payload string) *xmltree.Element {
	p.t.Helper()
	e, err := p.WrapPayload(p.t.Context(), p.pep, to.jid, []byte(payload), Kept)
	if err != nil {
		p.t.Fatal(err)
	}
	return e.Element
}

// open unwraps an envelope after a trip over the wire.
func (p *party) open(from *party, e *xmltree.Element) (*Opened, error) {
	p.t.Helper()
	return p.Unwrap(p.t.Context(), p.pep, from.jid, onWire(p.t, e))
}

// mustOpen unwraps an envelope, which must hold payload.
func (p *party) mustOpen(from *party, e *xmltree.Element, payload string) *Opened {
	p.t.Helper()
	o, err := p.open(from, e)
	if err != nil {
		p.t.Fatal(err)
	}
	if !o.HasPayload || string(o.Payload) != payload {
		p.t.Fatalf("opened %q, want %q", o.Payload, payload)
	}
	return o
}

// talk sends a payload each way, so that the session is established. The prekey
// that this took is replaced on the server, as it is in life: the next party
// must not draw it again.
func talk(a, b *party) {
	a.t.Helper()
	b.mustOpen(a, a.wrap(b, "ping"), "ping")
	a.mustOpen(b, b.wrap(a, "pong"), "pong")
	if err := b.Announce(b.t.Context(), b.pep); err != nil {
		b.t.Fatal(err)
	}
}

// unlessShort leaves out, with -short, what takes seconds under the race
// detector and has no concurrency in it.
func unlessShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
}

// onWire returns an element as it comes out of its XML.
func onWire(t testing.TB, e *xmltree.Element) *xmltree.Element {
	t.Helper()
	out, err := xmltree.Parse(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// snapshot returns what ratchet steps change, so that two can be compared.
func (p *party) snapshot() string {
	p.t.Helper()
	var b strings.Builder
	for _, query := range []string{
		`SELECT jid || device || hex(record) FROM sessions ORDER BY jid, device`,
		`SELECT id || hex(private_key) FROM prekeys ORDER BY id`,
		`SELECT jid || device || COALESCE(hex(identity_key), '-') FROM devices ORDER BY jid, device`,
		`SELECT generation || '/' || next_prekey FROM publication`,
	} {
		rows, err := p.db.QueryContext(p.t.Context(), query)
		if err != nil {
			p.t.Fatal(err)
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				p.t.Fatal(err)
			}
			b.WriteString(s + "\n")
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			p.t.Fatal(err)
		}
	}
	return b.String()
}

// unchanged runs f and checks that it left no trace in the state.
func (p *party) unchanged(what string, f func()) {
	p.t.Helper()
	before := p.snapshot()
	f()
	if p.snapshot() != before {
		p.t.Errorf("%s changed the state", what)
	}
}

// push gives p the device list of o's account, as the server does on a change.
func (p *party) push(o *party) {
	p.t.Helper()
	list, err := xmltree.Parse([]byte(p.s.get(o.jid, NodeDevices)))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.DeviceListChanged(p.t.Context(), o.jid.Bare(), xmltree.New("", "item", list)); err != nil {
		p.t.Fatal(err)
	}
}

// exec runs SQL on the state.
func (p *party) exec(query string, args ...any) {
	p.t.Helper()
	if _, err := p.db.ExecContext(p.t.Context(), query, args...); err != nil {
		p.t.Fatal(err)
	}
}

// one reads one number from the state.
func (p *party) one(query string, args ...any) (n int) {
	p.t.Helper()
	if err := p.db.QueryRowContext(p.t.Context(), query, args...).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// known returns what p knows of a device of o.
func (p *party) known(o *party) (d Device, ok bool) {
	p.t.Helper()
	all, err := p.Devices(p.t.Context(), o.jid)
	if err != nil {
		p.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.ID == o.DeviceID() })
	if i < 0 {
		return Device{}, false
	}
	return all[i], true
}

// raw runs f with the ratchet of o's device, in a transaction that is committed
// when f returns nil.
func (p *party) raw(o *party, f func(ctx context.Context, r *ratchet) error) error {
	return p.step(p.t.Context(), func(tx *sql.Tx) error {
		r := p.newRatchet(tx, address{o.jid.Bare(), o.DeviceID()}, o.IdentityKey())
		if err := f(p.t.Context(), r); err != nil {
			return err
		}
		return r.store(p.t.Context(), tx)
	})
}

// encrypt makes one ratchet message to o's device.
func (p *party) encrypt(o *party, plain string) (k wrappedKey) {
	p.t.Helper()
	err := p.raw(o, func(ctx context.Context, r *ratchet) (err error) {
		k.rid = o.DeviceID()
		k.data, k.prekey, err = r.encrypt(ctx, []byte(plain))
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

// decrypt opens one ratchet message of o's device.
func (p *party) decrypt(o *party, k wrappedKey) (plain []byte, err error) {
	m, err := parseMessage(k.data, k.prekey)
	if err != nil {
		return nil, err
	}
	err = p.raw(o, func(ctx context.Context, r *ratchet) (err error) {
		plain, err = r.decrypt(ctx, m)
		return err
	})
	return plain, err
}

// mustDecrypt opens one ratchet message, which must hold want.
func (p *party) mustDecrypt(o *party, k wrappedKey, want string) {
	p.t.Helper()
	got, err := p.decrypt(o, k)
	if err != nil || !bytes.Equal(got, []byte(want)) {
		p.t.Fatalf("decrypted %q (%v), want %q", got, err, want)
	}
}

// rebuild starts a new session with o's device from its bundle, as healing does.
func (p *party) rebuild(o *party) {
	p.t.Helper()
	b, err := fetchBundle(p.t.Context(), p.pep, address{o.jid.Bare(), o.DeviceID()})
	if err != nil {
		p.t.Fatal(err)
	}
	err = p.raw(o, func(ctx context.Context, r *ratchet) error {
		return r.build(ctx, b)
	})
	if err != nil {
		p.t.Fatal(err)
	}
}
