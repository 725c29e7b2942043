package ibb

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jetsend/internal/jid"
	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

var (
	romeo  = jid.MustParse("romeo@montague.example/orchard & co's")
	juliet = jid.MustParse("juliet@capulet.example/balcony")
)

// wire is a client's stream to a peer in memory: two lanes out, and what comes
// in goes through a reader (answers) and a dispatcher (requests), in order.
// Everything passes as bytes.
type wire struct {
	self    jid.JID
	peer    *wire
	m       *Manager
	latency time.Duration
	pause   time.Duration // before each block: a server that lets only so much through

	control, bulk chan []byte
	sky           chan flying // on the way to peer
	inbox         chan stanza.IQ
	done          chan struct{}
	wg            sync.WaitGroup

	ids        atomic.Uint64
	dispatched atomic.Uint64

	mu      sync.Mutex
	pending map[string]func(error)
	refuse  func(iq *xmltree.Element) *stanza.Error // the server's answer in place of the peer's
	sent    []*xmltree.Element                      // payloads of all that we asked, when log is set
	log     bool
	maxOpen int // the most unanswered bulk requests
	bulks   map[string]bool
}

type flying struct {
	at time.Time
	b  []byte
}

// newWires connects two clients.
func newWires(t *testing.T, latency time.Duration) (a, b *wire) {
	t.Helper()
	a, b = newWire(romeo, latency), newWire(juliet, latency)
	a.peer, b.peer = b, a
	for _, w := range []*wire{a, b} {
		w.m = NewManager(Config{Port: w})
		w.wg.Go(w.write)
		w.wg.Go(w.fly)
		w.wg.Go(w.dispatch)
	}
	t.Cleanup(func() {
		a.m.Close()
		b.m.Close()
		close(a.done)
		close(b.done)
		a.wg.Wait()
		b.wg.Wait()
	})
	return a, b
}

func newWire(self jid.JID, latency time.Duration) *wire {
	return &wire{
		self: self, latency: latency,
		control: make(chan []byte, 256), bulk: make(chan []byte, 16),
		sky: make(chan flying, 4096), inbox: make(chan stanza.IQ, 256), done: make(chan struct{}),
		pending: map[string]func(error){}, bulks: map[string]bool{},
	}
}

func (w *wire) BeginIQ(ctx context.Context, to jid.JID, payload *xmltree.Element, answered func(error)) (func(), error) {
	return w.begin(ctx, w.control, func(dst []byte, id string) []byte {
		return xmltree.New("jabber:client", "iq", payload).Set("type", "set").Set("id", id).Set("to", to.String()).
			Append(dst, "jabber:client")
	}, answered)
}

func (w *wire) BulkIQ(ctx context.Context, _ jid.JID, encode func([]byte, string) []byte, answered func(error)) (func(), error) {
	return w.begin(ctx, w.bulk, encode, answered)
}

func (w *wire) begin(ctx context.Context, lane chan []byte, encode func([]byte, string) []byte, answered func(error)) (func(), error) {
	id := "H_" + strconv.FormatUint(w.ids.Add(1), 10)
	forget := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.pending, id)
		delete(w.bulks, id)
	}
	w.mu.Lock()
	w.pending[id] = answered
	if lane == w.bulk {
		w.bulks[id] = true
		w.maxOpen = max(w.maxOpen, len(w.bulks))
	}
	w.mu.Unlock()
	b := encode(nil, id)
	if isData := bytes.Contains(b, []byte("<data")); isData != (lane == w.bulk) {
		panic("data and only data belongs into the bulk lane")
	}
	select {
	case lane <- b:
		return forget, nil
	case <-ctx.Done():
		forget()
		return nil, context.Cause(ctx)
	case <-w.done:
		forget()
		return nil, errors.New("stream lost")
	}
}

// write sends control before bulk.
func (w *wire) write() {
	for {
		var b []byte
		select {
		case b = <-w.control:
		default:
			select {
			case b = <-w.control:
			case b = <-w.bulk:
			case <-w.done:
				return
			}
		}
		if w.pause > 0 && bytes.Contains(b, []byte("<data")) {
			time.Sleep(w.pause)
		}
		select {
		case w.sky <- flying{time.Now().Add(w.latency), b}:
		case <-w.done:
			return
		}
	}
}

// fly delivers what write sent, after the latency.
func (w *wire) fly() {
	for {
		select {
		case f := <-w.sky:
			if left := time.Until(f.at); left > 0 {
				time.Sleep(left)
			}
			w.deliver(f.b)
		case <-w.done:
			return
		}
	}
}

// deliver is the server between us and the reader of the peer.
func (w *wire) deliver(b []byte) {
	// A stanza on the stream inherits its name space.
	iq, err := xmltree.Parse(append([]byte("<iq xmlns='jabber:client'"), b[len("<iq"):]...))
	if err != nil {
		panic(err)
	}
	typ, id := iq.Attr("type"), iq.Attr("id")
	if typ == "set" {
		w.mu.Lock()
		if w.log {
			w.sent = append(w.sent, iq.Children[0])
		}
		refuse := w.refuse
		w.mu.Unlock()
		if refuse != nil {
			if e := refuse(iq); e != nil {
				w.answered(id, e)
				return
			}
		}
		select {
		case w.peer.inbox <- stanza.IQ{From: w.self, To: w.peer.self, ID: id, Type: stanza.Set, Payload: iq.Children[0]}:
		case <-w.done:
		}
		return
	}
	var answer error
	if typ == "error" {
		answer = stanza.ParseError(iq.Child("jabber:client", "error"), w.self)
	}
	w.peer.answered(id, answer)
}

func (w *wire) answered(id string, err error) {
	w.mu.Lock()
	f := w.pending[id]
	delete(w.pending, id)
	delete(w.bulks, id)
	w.mu.Unlock()
	if f != nil {
		f(err)
	}
}

func (w *wire) dispatch() {
	for {
		select {
		case iq := <-w.inbox:
			var once atomic.Bool
			w.m.HandleIQ(context.Background(), iq, func(_ *xmltree.Element, err error) {
				if once.Swap(true) {
					panic("answered twice")
				}
				w.reply(iq.ID, err)
			})
			w.dispatched.Add(1)
		case <-w.done:
			return
		}
	}
}

func (w *wire) reply(id string, err error) {
	e := xmltree.New("jabber:client", "iq").Set("type", "result").Set("id", id)
	var se *stanza.Error
	if errors.As(err, &se) {
		e.Set("type", "error").Add(se.Element("jabber:client"))
	}
	select {
	case w.control <- e.Append(nil, "jabber:client"):
	case <-w.done:
	}
}

// record keeps the payloads that are sent from now on.
func (w *wire) record() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = true
}

// names counts the recorded payloads by name.
func (w *wire) names() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, e := range w.sent {
		n[e.Name.Local]++
	}
	return n
}

func (w *wire) setRefuse(f func(iq *xmltree.Element) *stanza.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = f
}

func (w *wire) unanswered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending)
}

// connect opens a bytestream from a to b.
func connect(t *testing.T, a, b *wire, p Params) (ca, cb *Conn) {
	t.Helper()
	if p.Transport.SID == "" {
		p.Transport.SID = "s1"
	}
	p.Peer = a.self
	e, err := b.m.Expect(p)
	if err != nil {
		t.Fatal(err)
	}
	p.Peer = b.self
	if ca, err = a.m.Open(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if cb, err = e.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ca, cb
}
