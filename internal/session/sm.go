package session

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"jetsend/internal/xmltree"
)

// nsSM qualifies stream management (XEP-0198).
const nsSM = "urn:xmpp:sm:3"

// A mistake of the server in stream management ends the stream, which then
// cannot be resumed: the server's idea of what has arrived is not ours.
var (
	errAckTooHigh = errors.New("the server acknowledges more than was sent")
	errAckFormat  = errors.New("the server sent an unreadable acknowledgement")
)

// management is stream management for one binding (XEP-0198): what was sent
// and not acknowledged yet, and how much was received. Counters are modulo
// 2^32 (section 4). The writer pushes, the reader takes the server's elements.
type management struct {
	wake chan struct{} // capacity 1: the writer has something to look at

	mu sync.Mutex
	// asked: <enable/> was sent, so the server counts what we send.
	asked bool
	// on: <enabled/> has come, so we count what the server sends.
	on bool
	// keep: what is unacknowledged is kept to be sent again. It ends when the
	// server acknowledges nothing, or refuses a resumption.
	keep     bool
	id       string // for <resume/>; "" when the server does not resume
	location string // where it would like to be resumed
	max      time.Duration

	handled uint32 // stanzas received
	waiting int    // in the inbox: received, but not dealt with yet
	sent    uint32
	acked   uint32
	queue   [][]byte // the stanzas acked+1 to sent, while keep
	size    int      // of queue, bytes
	full    time.Time

	proved chan struct{} // closed at the first <a/> after a resumption; nil before one

	owed   bool // the server has asked for an <a/>
	ask    bool // an <r/> is to be sent at once
	fresh  int  // stanzas since the latest <r/>
	volume int  // and their bytes
}

// enable notes that <enable/> is being sent: counting begins (section 3).
func (m *management) enable() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked, m.keep = true, true
}

func (m *management) nudge() {
	select {
	case m.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// element takes an element of stream management on the reader.
func (m *management) element(el *xmltree.Element) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.nudge()
	switch {
	case !m.asked: // nobody asked for it
	case el.Name.Local == "enabled" && !m.on:
		m.on = true
		m.enabled(el)
	case el.Name.Local == "failed" && !m.on:
		m.asked, m.sent = false, m.acked // nobody counts
		m.giveUp()
	case el.Name.Local == "r":
		m.owed = true
	case el.Name.Local == "a":
		if err := m.ack(el); err != nil {
			return err
		}
		if m.proved != nil {
			close(m.proved)
			m.proved = nil
		}
	}
	return nil
}

// enabled reads what the server grants (section 3, table 1).
func (m *management) enabled(el *xmltree.Element) {
	if r := el.Attr("resume"); r == "true" || r == "1" {
		m.id = el.Attr("id")
	}
	m.location = el.Attr("location")
	m.max = resumeTime
	if n, err := strconv.ParseUint(el.Attr("max"), 10, 31); err == nil && n > 0 {
		m.max = min(m.max, time.Duration(n)*time.Second)
	}
	if m.id == "" {
		m.giveUp() // acknowledgements alone: nothing will be sent again
	}
	m.ask = m.fresh > 0 // the writer could not ask before
}

// ack takes the h of an element: so many of our stanzas have arrived.
func (m *management) ack(el *xmltree.Element) error {
	h, err := strconv.ParseUint(el.Attr("h"), 10, 32)
	if err != nil {
		return errAckFormat
	}
	n := uint32(h) - m.acked
	if n > m.sent-m.acked {
		return fmt.Errorf("%w: %d of %d", errAckTooHigh, h, m.sent)
	}
	m.acked = uint32(h)
	if !m.keep {
		return nil
	}
	for _, b := range m.queue[:n] {
		m.size -= len(b)
	}
	clear(m.queue[:n]) // else the array holds them
	m.queue = m.queue[n:]
	if n > 0 {
		m.full = time.Now()
	}
	return nil
}

// received counts a stanza of the server's that was taken in.
func (m *management) received() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.on {
		m.handled++
	}
}

// open notes that so many stanzas more, or less, wait to be dealt with.
func (m *management) open(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting += n
}

// push takes note of a stanza that is about to be written. b is kept.
func (m *management) push(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.asked {
		return
	}
	m.sent++
	m.fresh++
	m.volume += len(b)
	if !m.keep {
		return
	}
	m.queue = append(m.queue, b)
	m.size += len(b)
	if m.isFull() {
		m.full = time.Now()
	}
}

func (m *management) isFull() bool {
	return m.keep && (len(m.queue) >= maxUnacked || m.size >= maxUnackedBytes)
}

// room reports whether another stanza may be sent, and if not, for how long to
// wait for the server's acknowledgement. A server that gives none then loses
// the right to be waited for: without that, a flood of requests ahead of the
// acknowledgement would stop reader and writer for ever.
func (m *management) room(patience time.Duration) (ok bool, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isFull() {
		return true, 0
	}
	if wait = patience - time.Since(m.full); wait <= 0 {
		m.giveUp()
		return true, 0
	}
	return false, wait
}

// giveUp keeps nothing more: the stream will not be resumed.
func (m *management) giveUp() {
	m.keep, m.queue, m.size, m.id = false, nil, 0, ""
}

// refused notes that a resumption was; h, if the server gives it, still tells
// what has arrived (section 5). el may be nil, where nothing was answered.
func (m *management) refused(el *xmltree.Element) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := el.LookupAttr("h"); ok {
		_ = m.ack(el) // a wrong one tells nothing
	}
	m.giveUp()
}

// resumed takes the server's <resumed/> and returns what to send again, in
// order, before anything else. proved is closed when the server has shown that
// it reads what we send now.
func (m *management) resumed(el *xmltree.Element) (resend [][]byte, proved <-chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el.Attr("previd") != m.id {
		m.giveUp()
		return nil, nil, errors.New("the server resumed another stream than asked for")
	}
	if err := m.ack(el); err != nil {
		m.giveUp()
		return nil, nil, err
	}
	m.owed, m.ask, m.full = false, true, time.Now()
	m.proved = make(chan struct{})
	m.nudge() // there may be nothing to send but the request
	return append([][]byte(nil), m.queue...), m.proved, nil
}

// resumption returns what <resume/> needs; ok is false when there is nothing to resume.
func (m *management) resumption() (id string, h uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id, m.handled, m.on && m.keep && m.id != ""
}

// askToResume is the request for a resumption, if there is anything to resume.
func (m *management) askToResume() (*xmltree.Element, bool) {
	id, h, ok := m.resumption()
	return xmltree.New(nsSM, "resume").Set("previd", id).Set("h", strconv.FormatUint(uint64(h), 10)), ok
}

// resumable reports whether the stream, once cut off, may be resumed.
func (m *management) resumable() bool {
	_, _, ok := m.resumption()
	return ok
}

// resumeFor returns for how long after its loss the stream may be resumed.
func (m *management) resumeFor() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.max
}

// place returns where the server would like to be resumed, or "".
func (m *management) place() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.location
}

// drop makes resumption impossible.
func (m *management) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.giveUp()
}

// unacked returns how many stanzas may not have arrived.
func (m *management) unacked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int(m.sent - m.acked)
}

// request has the writer ask for an acknowledgement at once. It reports whether
// the server would give one.
func (m *management) request() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return false
	}
	m.ask = true
	m.nudge()
	return true
}

// appendOwed appends to b the acknowledgement that the server has asked for,
// and our own request when it is time. settled: nothing was sent for a while.
func (m *management) appendOwed(b []byte, settled bool) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on {
		return b
	}
	if m.owed {
		m.owed = false
		b = m.appendAck(b)
	}
	if m.ask || m.fresh >= askStanzas || m.volume >= askBytes || (settled && m.fresh > 0) {
		m.ask, m.fresh, m.volume = false, 0, 0
		b = append(b, "<r xmlns='"+nsSM+"'/>"...)
	}
	return b
}

// appendLast appends the acknowledgement that goes before the end of a stream
// (section 4), so that the server knows what needs no other way. Stanzas that
// the end has left in the inbox need one: then nothing is acknowledged.
func (m *management) appendLast(b []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.on || m.waiting > 0 {
		return b
	}
	return m.appendAck(b)
}

func (m *management) appendAck(b []byte) []byte {
	b = append(b, "<a xmlns='"+nsSM+"' h='"...)
	b = strconv.AppendUint(b, uint64(m.handled), 10)
	return append(b, "'/>"...)
}
