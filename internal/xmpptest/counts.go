package xmpptest

import (
	"bytes"
	"regexp"
	"strconv"
	"sync"
)

// counts keeps stream management (XEP-0198) from noticing stanzas that a tap adds:
// it takes them off the numbers in the acknowledgements that come back. A stanza
// that a tap drops goes unacknowledged, as if it were lost. The numbers of a
// stream that is resumed over another connection are left as they are.
type counts struct {
	mu   sync.Mutex
	dirs [2]count
}

// count is what goes in one direction.
type count struct {
	came int // stanzas, since stream management began
	// added tells, of each stanza that went on, how many of those up to it are the
	// tap's own.
	added []int
}

// The elements of stream management that count.
var (
	enable  = regexp.MustCompile(`^<enabled?[\s/>]`)
	ack     = regexp.MustCompile(`^(<a\s[^>]*?\bh=['"])(\d+)`)
	counted = regexp.MustCompile(`^<(iq|message|presence)[\s/>]`)
)

// arrived notes an element that came in from one end.
func (c *counts) arrived(dir Direction, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case enable.Match(raw):
		c.dirs[dir] = count{}
	case counted.Match(raw):
		c.dirs[dir].came++
	}
}

// leaving notes an element that goes to the other end, and returns it with the
// numbers that end knows.
func (c *counts) leaving(dir Direction, raw []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, back := &c.dirs[dir], &c.dirs[1-dir]
	if counted.Match(raw) {
		d.added = append(d.added, max(0, len(d.added)+1-d.came))
	}
	m := ack.FindSubmatch(raw)
	if m == nil {
		return raw
	}
	h, err := strconv.Atoi(string(m[2]))
	if err != nil || h < 1 || h > len(back.added) {
		return raw
	}
	return bytes.Replace(raw, m[0], strconv.AppendInt(m[1][:len(m[1]):len(m[1])], int64(h-back.added[h-1]), 10), 1)
}
