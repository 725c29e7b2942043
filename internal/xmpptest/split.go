package xmpptest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
)

// maxUnit bounds one top-level element in the tap: well above the 256 KiB to
// 1 MiB that servers accept, so that the server's limit is met and not ours.
const maxUnit = 8 << 20

// unitKind tells the pieces of an XMPP stream apart (RFC 6120 section 4).
type unitKind int

const (
	unitSpace  unitKind = iota // whitespace between elements: a keep-alive
	unitDecl                   // an xml declaration
	unitHeader                 // the start tag of the stream
	unitStanza                 // one complete top-level element
	unitClose                  // the end tag of the stream
)

// unit is one piece of a stream with the exact bytes it had on the wire.
type unit struct {
	kind unitKind
	raw  []byte
}

var (
	errUnitTooBig = errors.New("element too big")
	errNotXML     = errors.New("not an xmpp stream")
)

// splitter cuts a stream into units without touching a byte. It knows as much
// XML as RFC 6120 section 11 lets a stream have: tags, quoted attributes, CDATA
// and declarations. It must survive restarted streams, which follow each other
// without the first one being closed, and that no XML parser does.
type splitter struct {
	r   *bufio.Reader
	buf []byte
}

func newSplitter(r *bufio.Reader) *splitter { return &splitter{r: r} }

// next returns the next unit; its bytes are the caller's.
func (s *splitter) next() (unit, error) {
	s.buf = nil
	c, err := s.take()
	if err != nil {
		return unit{}, err
	}
	if isSpace(c) {
		return unit{unitSpace, s.buf}, nil
	}
	if c != '<' {
		return unit{}, fmt.Errorf("%w: %q at the top level", errNotXML, c)
	}
	depth := 0
	for {
		kind, err := s.tag()
		if err != nil {
			return unit{}, err
		}
		switch {
		case depth == 0 && kind == tagDecl:
			return unit{unitDecl, s.buf}, nil
		case depth == 0 && kind == tagEnd:
			return unit{unitClose, s.buf}, nil
		case depth == 0 && kind == tagStart && isStreamTag(s.buf):
			return unit{unitHeader, s.buf}, nil
		case kind == tagStart:
			depth++
		case kind == tagEnd:
			depth--
		}
		if depth == 0 {
			return unit{unitStanza, s.buf}, nil
		}
		if err := s.until("<"); err != nil {
			return unit{}, err
		}
	}
}

type tagKind int

const (
	tagStart tagKind = iota
	tagEnd
	tagEmpty
	tagDecl
	tagData // CDATA: text, not a tag
)

// tag reads on from behind a '<' to the '>' that ends it.
func (s *splitter) tag() (tagKind, error) {
	c, err := s.take()
	if err != nil {
		return 0, err
	}
	switch c {
	case '?':
		return tagDecl, s.until("?>")
	case '!':
		return tagData, s.data()
	case '/':
		return tagEnd, s.until(">")
	}
	return s.start(c)
}

// data reads a CDATA section from behind its "<!".
func (s *splitter) data() error {
	for _, want := range []byte("[CDATA[") {
		c, err := s.take()
		if err != nil {
			return err
		}
		if c != want {
			return fmt.Errorf("%w: declaration inside", errNotXML)
		}
	}
	return s.until("]]>")
}

// start reads a start tag, or that of an empty element, from behind its first byte c.
func (s *splitter) start(c byte) (_ tagKind, err error) {
	for {
		prev := c
		if c, err = s.take(); err != nil {
			return 0, err
		}
		switch c {
		case '\'', '"':
			if err := s.until(string(c)); err != nil {
				return 0, err
			}
		case '>':
			if prev == '/' {
				return tagEmpty, nil
			}
			return tagStart, nil
		}
	}
}

// until reads to the end of the next occurrence of mark.
func (s *splitter) until(mark string) error {
	for from := len(s.buf); ; {
		if _, err := s.take(); err != nil {
			return err
		}
		if bytes.HasSuffix(s.buf[from:], []byte(mark)) {
			return nil
		}
	}
}

func (s *splitter) take() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if len(s.buf) >= maxUnit {
		return 0, errUnitTooBig
	}
	s.buf = append(s.buf, c)
	return c, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// isStreamTag says whether a start tag is that of a stream, whatever its prefix.
func isStreamTag(tag []byte) bool {
	name := tag[1:]
	if i := bytes.IndexAny(name, " \t\r\n/>"); i >= 0 {
		name = name[:i]
	}
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return string(name) == "stream"
}
