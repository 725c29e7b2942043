package ibb

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"jetsend/internal/stanza"
	"jetsend/internal/xmltree"
)

// receiver is the receiving half of a [Conn], guarded by its lock.
type receiver struct {
	buf      bytes.Buffer
	blocks   uint64 // received so far
	got      uint64 // bytes received
	taken    uint64 // bytes that the application has read
	withheld []withheld
}

// withheld is a block that is not acknowledged yet: its end is too far ahead of
// the reader.
type withheld struct {
	end   uint64 // in bytes from the beginning of the stream
	reply func(*xmltree.Element, error)
}

// take reads into p and returns whom to acknowledge.
func (r *receiver) take(p []byte) (int, []withheld) {
	n, _ := r.buf.Read(p) // io.EOF only from an empty buffer
	r.taken += uint64(n)
	k := 0
	for k < len(r.withheld) && r.withheld[k].end <= r.taken+ackBytes {
		k++
	}
	released := r.withheld[:k:k]
	r.withheld = r.withheld[k:]
	return n, released
}

// drop forgets all data and returns the blocks that were never acknowledged.
func (r *receiver) drop() []withheld {
	w := r.withheld
	r.withheld, r.buf = nil, bytes.Buffer{}
	return w
}

// gotData takes one block. It is acknowledged at once if there is room.
func (c *Conn) gotData(e *xmltree.Element, reply func(*xmltree.Element, error)) *stanza.Error {
	c.mu.Lock()
	// Before the answer to our <open/> is looked at data may be there already.
	if c.state != open && c.state != opening || c.peerClosed || c.closeDone || c.broken != nil {
		c.mu.Unlock()
		return cancelError(stanza.ItemNotFound)
	}
	if refused := c.accept(e); refused != nil {
		c.fail(fmt.Errorf("%w: %s in block %d", ErrProtocol, refused.Condition, c.in.blocks))
		c.mu.Unlock()
		return refused
	}
	w := withheld{end: c.in.got, reply: reply}
	now := len(c.in.withheld) == 0 && w.end <= c.in.taken+ackBytes
	if !now {
		c.in.withheld = append(c.in.withheld, w)
	}
	c.wake.Broadcast()
	c.mu.Unlock()
	if now {
		reply(nil, nil)
	}
	return nil
}

// accept checks a block and buffers its data. The caller holds c.mu.
func (c *Conn) accept(e *xmltree.Element) *stanza.Error {
	// Conversations never wraps the number, so it may be larger than 65535.
	seq, err := strconv.ParseUint(strings.TrimSpace(e.Attr("seq")), 10, 64)
	switch {
	case err != nil, len(e.Children) > 0:
		return cancelError(stanza.BadRequest)
	case seq%c.modulo != c.in.blocks%c.modulo:
		return cancelError(stanza.UnexpectedRequest)
	case len(c.in.withheld) >= maxWithheld, c.in.buf.Len()+c.block > maxBuffered:
		return cancelError(stanza.ResourceConstraint)
	}
	n, ok := appendBase64(&c.in.buf, e.Text, c.block)
	if !ok {
		return cancelError(stanza.BadRequest)
	}
	c.in.blocks++
	c.in.got += uint64(n)
	return nil
}

// layout is the white space that may stand in data, as in the examples of
// XEP-0047. Everything else outside the alphabet is refused (section 7).
var layout = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "")

// appendBase64 appends what text stands for to buf, or nothing if it is no
// base64 (RFC 4648 section 4) or stands for more than limit bytes.
func appendBase64(buf *bytes.Buffer, text string, limit int) (int, bool) {
	if strings.ContainsAny(text, " \t\r\n") {
		text = layout.Replace(text)
	}
	// Strict, too, in the unused bits of the last character.
	enc := base64.StdEncoding.Strict()
	if len(text) > enc.EncodedLen(limit) {
		return 0, false
	}
	size := enc.DecodedLen(len(text))
	buf.Grow(size)
	out := buf.AvailableBuffer()[:size]
	n, err := enc.Decode(out, []byte(text))
	if err != nil || n > limit {
		return 0, false
	}
	buf.Write(out[:n])
	return n, true
}
