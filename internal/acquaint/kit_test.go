package acquaint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"jetsend/internal/event"
	"jetsend/internal/invite"
	"jetsend/internal/jid"
	"jetsend/internal/omemo"
	"jetsend/internal/session"
	"jetsend/internal/stanza"
	"jetsend/internal/state"
	"jetsend/internal/xmltree"
)

// sent is a stanza between two accounts, as the servers see it.
type sent struct {
	kind     string // subscribe, subscribed, greet or iq
	from, to jid.JID
	children []*xmltree.Element
}

// payload is the message of the protocol in it, or nil.
func (s *sent) payload() *xmltree.Element {
	for _, c := range s.children {
		if c.Name.Space == invite.NS {
			return c
		}
	}
	return nil
}

// servers are those of all accounts, and as dishonest as their tap.
type servers struct {
	mu       sync.Mutex
	accounts map[jid.JID]*account
	// tap has every stanza, and returns what goes on in its place; nil: it goes on.
	tap  func(*sent) []*sent
	done chan struct{} // closed: everybody is offline for good
	all  []*sent       // that were sent
}

func (s *servers) send(m *sent) {
	s.mu.Lock()
	s.all = append(s.all, m)
	tap := s.tap
	s.mu.Unlock()
	out := []*sent{m}
	if tap != nil {
		out = tap(m)
	}
	for _, m := range out {
		s.deliver(m)
	}
}

// taps has the servers do something else from now on.
func (s *servers) taps(tap func(*sent) []*sent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = tap
}

// deliver does what two honest servers do.
func (s *servers) deliver(m *sent) {
	s.mu.Lock()
	to, from := s.accounts[m.to.Bare()], s.accounts[m.from.Bare()]
	var there bool
	var self jid.JID
	if to != nil {
		there, self = to.online, to.self
	}
	switch m.kind {
	case "subscribe":
		switch {
		case to == nil || to.sees[m.from.Bare()]:
		case to.ahead[m.from.Bare()]:
			to.sees[m.from.Bare()] = true
		default:
			to.asked[m.from.Bare()] = true
		}
	case "subscribed":
		switch {
		case from == nil || from.sees[m.to.Bare()]:
		case from.asked[m.to.Bare()]:
			delete(from.asked, m.to.Bare())
			from.sees[m.to.Bare()] = true
		default: // RFC 6121 section 3.4
			from.ahead[m.to.Bare()] = true
		}
	}
	s.mu.Unlock()
	if !there {
		return
	}
	switch m.kind {
	case "iq":
		if m.to == self {
			_, _ = to.onIQ(context.Background(), stanza.IQ{From: m.from, To: m.to, Type: stanza.Set, Payload: m.children[0]})
		}
	case "greet":
		to.onPresence(context.Background(), stanza.Presence{From: m.from, To: m.to.Bare(), Children: m.children})
	default:
		to.onPresence(context.Background(), stanza.Presence{From: m.from.Bare(), To: m.to.Bare(), Type: m.kind, Children: m.children})
	}
}

// account is an Account at the servers.
type account struct {
	servers    *servers
	self       jid.JID
	online     bool
	sees       map[jid.JID]bool // who sees it
	asked      map[jid.JID]bool // who has asked to
	ahead      map[jid.JID]bool // who is let in without having asked
	onIQ       func(context.Context, stanza.IQ) (*xmltree.Element, error)
	onPresence func(context.Context, stanza.Presence)
}

func (a *account) JID() jid.JID { return a.self }

func (a *account) BeginIQ(_ context.Context, to jid.JID, payload *xmltree.Element, _ func(error)) (func(), error) {
	a.servers.send(&sent{"iq", a.self, to, []*xmltree.Element{payload.Clone()}})
	return func() {}, nil
}

func (a *account) Done() <-chan struct{} { return a.servers.done }
func (a *account) Err() error            { return errGone }

var errGone = errors.New("offline for good")

func (a *account) HandleIQ(_ string, f func(context.Context, stanza.IQ) (*xmltree.Element, error)) {
	a.onIQ = f
}

func (a *account) HandlePresence(f func(context.Context, stanza.Presence)) { a.onPresence = f }

func (a *account) presence(kind string, who jid.JID, children ...*xmltree.Element) error {
	var copies []*xmltree.Element
	for _, c := range children {
		copies = append(copies, c.Clone())
	}
	a.servers.send(&sent{kind, a.self, who.Bare(), copies})
	return nil
}

func (a *account) Approve(_ context.Context, who jid.JID) error { return a.presence("subscribed", who) }

func (a *account) Subscribe(_ context.Context, who jid.JID) error {
	return a.presence("subscribe", who)
}

func (a *account) SubscribeWith(_ context.Context, who jid.JID, children ...*xmltree.Element) error {
	return a.presence("subscribe", who, children...)
}

func (a *account) Greet(_ context.Context, who jid.JID, children ...*xmltree.Element) error {
	return a.presence("greet", who, children...)
}

func (a *account) Resources(bare jid.JID) (all []session.Resource) {
	a.servers.mu.Lock()
	defer a.servers.mu.Unlock()
	if o := a.servers.accounts[bare]; o != nil && o.online && o.sees[a.self.Bare()] {
		all = append(all, session.Resource{JID: o.self})
	}
	return all
}

func (a *account) RefreshRoster(context.Context) error { return nil }

// Subscription is "from" where the other one sees us.
func (a *account) Subscription(bare jid.JID) string {
	a.servers.mu.Lock()
	defer a.servers.mu.Unlock()
	if a.sees[bare] {
		return "from"
	}
	return "none"
}

// keyring is the keys of a person, verified ones among them.
type keyring struct {
	db    *sql.DB
	named []omemo.Device
	known []omemo.Device // of others
}

func (k *keyring) HasVerified(ctx context.Context, tx *sql.Tx, of jid.JID) (yes bool, err error) {
	return yes, tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM vouched WHERE jid = ?)`, of.String()).Scan(&yes)
}

func (k *keyring) Vouch(ctx context.Context, tx *sql.Tx, of jid.JID, devices []omemo.Device) error {
	for _, d := range devices {
		if _, err := tx.ExecContext(ctx, `INSERT INTO vouched VALUES (?, ?) ON CONFLICT DO NOTHING`, of.String(), d.IdentityKey[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (k *keyring) Devices(context.Context, jid.JID) ([]omemo.Device, error) { return k.known, nil }

func (k *keyring) Vouched(context.Context) ([]omemo.Device, error) { return k.named, nil }

// person has an account, a device and a book.
type person struct {
	*Party
	account *account
	keys    *keyring
	events  []event.Event
	mu      sync.Mutex
	t       *testing.T
}

// deviceOf is the only device of somebody; its key is their letter again and again.
func deviceOf(letter byte) omemo.Device {
	key := slices.Repeat([]byte{letter}, 1+omemo.KeySize)
	key[0] = 5
	return omemo.Device{ID: uint32(letter), IdentityKey: key}
}

// somebody is a person online.
func (s *servers) somebody(t *testing.T, address string) *person {
	t.Helper()
	self := jid.MustParse(address + "/1")
	db, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := state.Exec(t.Context(), db, `CREATE TABLE IF NOT EXISTS vouched (jid TEXT, key BLOB, PRIMARY KEY (jid, key))`); err != nil {
		t.Fatal(err)
	}
	book, err := OpenBook(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{
		t: t, keys: &keyring{db: db, named: []omemo.Device{deviceOf(address[0])}},
		account: &account{servers: s, self: self, online: true, sees: map[jid.JID]bool{}, asked: map[jid.JID]bool{}, ahead: map[jid.JID]bool{}},
	}
	p.Party = New(Config{Account: p.account, Keys: p.keys, Book: book, Log: slog.New(slog.DiscardHandler), Report: func(e event.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, e)
	}})
	if s.accounts == nil {
		s.accounts = map[jid.JID]*account{}
	}
	s.mu.Lock()
	s.accounts[self.Bare()] = p.account
	s.mu.Unlock()
	return p
}

// runs has a person answer until the test ends.
func (p *person) runs() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	return func() { cancel(); <-done }
}

// issues makes an invitation.
func (p *person) issues(t Terms) *invite.Link {
	p.t.Helper()
	names, err := Names(p.t.Context(), p.keys)
	if err != nil {
		p.t.Fatal(err)
	}
	if t.Uses == 0 {
		t.Uses = 1
	}
	if t.For == 0 {
		t.For = 24 * time.Hour
	}
	l := invite.NewLink(p.account.self.Bare(), names)
	if err := p.Book.Issue(p.t.Context(), l, t); err != nil {
		p.t.Fatal(err)
	}
	return l
}

// patience is how long a person waits for an answer.
const patience = 20 * time.Second

// takes takes a link.
func (p *person) takes(l *invite.Link) *Taken {
	p.t.Helper()
	own, err := Names(p.t.Context(), p.keys)
	if err != nil {
		p.t.Fatal(err)
	}
	taken, err := p.Book.Take(p.t.Context(), l, own)
	if err != nil {
		p.t.Fatal(err)
	}
	return taken
}

// redeems redeems a link, as `contacts add` does.
func (p *person) redeems(l *invite.Link) error {
	p.t.Helper()
	taken := p.takes(l)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.Party.Redeem(ctx, taken)
}

// knows are the verified keys, as address and letter.
func (p *person) knows() (all []string) {
	p.t.Helper()
	rows, err := p.keys.db.QueryContext(context.Background(), `SELECT jid, key FROM vouched ORDER BY jid, key`)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var who string
		var key []byte
		if err := rows.Scan(&who, &key); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %c", who, key[0]))
	}
	return all
}

// shows are those who see a person online, or will when they ask.
func (p *person) shows() (all []string) {
	p.account.servers.mu.Lock()
	defer p.account.servers.mu.Unlock()
	for _, m := range []map[jid.JID]bool{p.account.sees, p.account.ahead} {
		for j := range m {
			all = append(all, j.String())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// warned are the texts that a person was shown.
func (p *person) warned() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if w, is := e.(event.Warning); is {
			all = append(all, w.Text)
		}
	}
	return all
}

// two are juliet, who answers, and romeo, in a world of their own time.
func two(t *testing.T, f func(t *testing.T, s *servers, juliet, romeo *person)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &servers{}
		juliet, romeo := s.somebody(t, "juliet@capulet.example"), s.somebody(t, "romeo@montague.example")
		stop := juliet.runs()
		defer stop()
		f(t, s, juliet, romeo)
	})
}
