package ibb

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"jetsend/internal/xmltree"
)

// Transport is the <transport/> of XEP-0261, in an offer or in its answer.
type Transport struct {
	// SID identifies the bytestream between two parties. Old Conversations
	// leave it out of a transport-accept.
	SID string
	// BlockSize is the largest block in bytes, before base64; 0 when the peer
	// did not say. More than [MaxBlockSize] is read as that.
	BlockSize int
}

// NewTransport returns an offer with a fresh stream id. A blockSize of 0 is
// [DefaultBlockSize].
func NewTransport(blockSize int) Transport {
	return Transport{SID: rand.Text(), BlockSize: clamp(blockSize)}
}

// clamp returns a block size that may be used.
func clamp(n int) int {
	if n <= 0 {
		return DefaultBlockSize
	}
	return min(n, MaxBlockSize)
}

// Element returns t as a tree.
func (t Transport) Element() *xmltree.Element {
	return xmltree.New(NSTransport, "transport").
		Set("block-size", strconv.Itoa(clamp(t.BlockSize))).Set("sid", t.SID)
}

// ParseTransport reads a <transport/>, tolerantly: what is unknown is ignored
// and what is missing left zero. The errors are [ErrMalformed] and [ErrMessages].
func ParseTransport(e *xmltree.Element) (Transport, error) {
	if !e.Is(NSTransport, "transport") {
		return Transport{}, fmt.Errorf("%w: no in-band transport element", ErrMalformed)
	}
	t := Transport{SID: e.Attr("sid")}
	if len(t.SID) > maxSID {
		return Transport{}, fmt.Errorf("%w: stream id of %d bytes", ErrMalformed, len(t.SID))
	}
	var ok bool
	if t.BlockSize, ok = parseBlockSize(e); !ok {
		return Transport{}, fmt.Errorf("%w: block size %.16q", ErrMalformed, e.Attr("block-size"))
	}
	switch e.Attr("stanza") {
	case "", stanzaIQ:
		return t, nil
	case "message":
		return Transport{}, ErrMessages
	}
	return Transport{}, fmt.Errorf("%w: stanza %.16q", ErrMalformed, e.Attr("stanza"))
}

// parseBlockSize reads the attribute of a transport or an <open/>, at most
// MaxBlockSize and 0 when it is not there.
func parseBlockSize(e *xmltree.Element) (size int, ok bool) {
	text, there := e.LookupAttr("block-size")
	if !there {
		return 0, true
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil || n == 0 {
		return 0, false
	}
	return min(int(n), MaxBlockSize), true
}

// Answer returns what the responder says to the offer t: the same bytestream
// with blocks of at most limit bytes (0 is [MaxBlockSize]).
func (t Transport) Answer(limit int) (Transport, error) {
	if t.SID == "" {
		return Transport{}, fmt.Errorf("%w: offer without stream id", ErrMalformed)
	}
	if limit <= 0 {
		limit = MaxBlockSize
	}
	return Transport{SID: t.SID, BlockSize: min(clamp(t.BlockSize), clamp(limit))}, nil
}

// Agree returns what the initiator that offered t has to open after that
// answer: the smaller block size (XEP-0261 section 2.2).
func (t Transport) Agree(answer Transport) (Transport, error) {
	if answer.SID != "" && answer.SID != t.SID {
		return Transport{}, fmt.Errorf("%w: answer with another stream id", ErrMalformed)
	}
	size := clamp(t.BlockSize)
	if answer.BlockSize > 0 {
		size = min(size, answer.BlockSize)
	}
	return Transport{SID: t.SID, BlockSize: size}, nil
}
