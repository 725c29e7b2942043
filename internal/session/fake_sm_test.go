package session

import (
	"cmp"
	"fmt"
	"strconv"
	"sync"

	"jetsend/internal/xmltree"
)

// fakeSM is a server's side of stream management, over all connections of a
// fake. Zero fields make an honest one.
type fakeSM struct {
	refuse   bool   // resumptions
	lie      uint32 // added to the h of <resumed/>
	other    string // the previd of <resumed/>, if not what was asked for
	mute     bool   // never acknowledges
	deaf     bool   // acknowledges nothing once resumed
	location string
	max      int
	off      bool // answers <enable/> with <failed/>
	// counted is given every stanza that counts, in order.
	counted func(*xmltree.Element)

	mu      sync.Mutex
	session int       // how many were enabled
	on      *fakeConn // the connection that it is on
	back    *fakeConn // the connection that resumed
	h       uint32    // stanzas received
	acked   uint32    // of those sent
	out     []string
	resumes int // resumptions granted
	asked   int // <r/> received
}

// enable answers <enable/>.
func (m *fakeSM) enable(c *fakeConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		c.say("<failed xmlns='" + nsSM + "'><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		return
	}
	m.session++
	m.on, m.h, m.acked, m.out = c, 0, 0, nil
	c.managed = true
	attrs := ""
	if m.location != "" {
		attrs += " location='" + m.location + "'"
	}
	if m.max != 0 {
		attrs += fmt.Sprintf(" max='%d'", m.max)
	}
	c.say(fmt.Sprintf("<enabled xmlns='%s' id='sm%d' resume='true'%s/>", nsSM, m.session, attrs))
}

// take looks at what a client sent. It reports whether that is dealt with.
func (m *fakeSM) take(c *fakeConn, el *xmltree.Element) bool {
	if el.Is(nsSM, "enable") {
		m.enable(c)
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.on == nil:
		return false
	case m.on != c:
		return c.managed // resumed elsewhere meanwhile: this no longer counts
	case el.Is(nsSM, "r"):
		m.asked++
		if !m.mute && !(m.deaf && m.resumes > 0 && m.session == 1) {
			c.say(fmt.Sprintf("<a xmlns='%s' h='%d'/>", nsSM, m.h))
		}
		return true
	case el.Is(nsSM, "a"):
		m.ack(el.Attr("h"))
		return true
	case isStanza(el.Name.Local):
		m.h++
		if m.counted != nil {
			m.counted(el)
		}
	}
	return false
}

func (m *fakeSM) ack(text string) {
	h, err := strconv.ParseUint(text, 10, 32)
	n := int(uint32(h) - m.acked)
	if err != nil || n > len(m.out) {
		panic(fmt.Sprintf("the client acknowledges %s of %d", text, int(m.acked)+len(m.out)))
	}
	m.out, m.acked = m.out[n:], uint32(h)
}

// resume answers <resume/>.
func (m *fakeSM) resume(c *fakeConn, el *xmltree.Element) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse || el.Attr("previd") != fmt.Sprintf("sm%d", m.session) {
		c.say(fmt.Sprintf("<failed xmlns='%s' h='%d'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>", nsSM, m.h))
		return false
	}
	m.ack(el.Attr("h"))
	c.say(fmt.Sprintf("<resumed xmlns='%s' previd='%s' h='%d'/>", nsSM, cmp.Or(m.other, el.Attr("previd")), m.h+m.lie))
	m.on, m.back = c, c
	c.managed = true
	m.resumes++
	for _, s := range m.out {
		c.say(s)
	}
	return true
}

// resumed reports whether c resumed an earlier stream.
func (m *fakeSM) resumed(c *fakeConn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.back == c
}

// granted returns how many resumptions were.
func (m *fakeSM) granted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.resumes
}

// stanza sends a stanza, which stream management keeps until it has arrived.
func (c *fakeConn) stanza(s string) {
	if m := c.f.sm; m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.on != nil && c.managed {
			m.out = append(m.out, s)
			c = m.on // which may have resumed the stream of c
		}
	}
	c.say(s)
}

// has reports whether c is the connection of the stream.
func (m *fakeSM) has(c *fakeConn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.on == c
}
