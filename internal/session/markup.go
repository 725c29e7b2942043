package session

import gstanza "gosrc.io/xmpp/stanza"

// markup follows the XML of a stream after its header byte by byte, as far as it
// takes to find the end of a top-level element: so one beyond the limits is skipped
// without anything of it being held. The zero value is between two of them. markup may
// misread XML that is not well-formed; an XML parser has written what servers send.
type markup struct {
	depth int // of open elements, in the top-level one
	at    place
	quote byte // of the attribute value
	last  byte // before this one, in a start tag
	ends  int  // brackets that may end a CDATA section
	name  []byte
}

// place is where in the XML a byte is.
type place int

const (
	inText    place = iota
	atMarkup        // after a <
	inName          // of a start tag
	inStart         // tag
	inValue         // of an attribute
	inEnd           // tag
	atSection       // after a <!
	inSection       // CDATA
)

// maxTagName bounds the name kept of a top-level element. The three stanzas have
// shorter ones.
const maxTagName = 16

// next takes one byte. The error is errRestricted.
func (m *markup) next(c byte) error {
	switch m.at {
	case inText:
		if c == '<' {
			m.at = atMarkup
		}
	case atMarkup:
		return m.open(c)
	case inName, inStart:
		m.tag(c)
	case inValue:
		if c == m.quote {
			m.at, m.last = inStart, c
		}
	case inEnd:
		if c == '>' {
			m.depth--
			m.at = inText
		}
	case atSection:
		if c != '[' {
			return errRestricted
		}
		m.at, m.ends = inSection, 0
	case inSection:
		m.section(c)
	}
	return nil
}

// open takes the first byte behind a '<', which says what kind of markup it is.
func (m *markup) open(c byte) error {
	if m.depth == 0 {
		m.name = m.name[:0]
	}
	switch c {
	case '/':
		m.at = inEnd
	case '!':
		m.at = atSection
	case '?':
		return errRestricted
	default:
		m.at = inName
		m.tag(c)
	}
	return nil
}

// section takes a byte of a CDATA section, which ends with "]]>".
func (m *markup) section(c byte) {
	switch {
	case c == ']':
		m.ends++
	case c == '>' && m.ends >= 2:
		m.at = inText
	default:
		m.ends = 0
	}
}

// tag takes a byte of a start tag that is in no attribute value.
func (m *markup) tag(c byte) {
	switch c {
	case '>':
		if m.last != '/' {
			m.depth++
		}
		m.at = inText
	case '\'', '"':
		m.at, m.quote = inValue, c
	case '/', ' ', '\t', '\r', '\n':
		m.at = inStart
	default:
		if m.at == inName && m.depth == 0 && len(m.name) < maxTagName {
			m.name = append(m.name, c)
		}
	}
	m.last = c
}

// inside reports whether a top-level element has begun and not ended.
func (m *markup) inside() bool { return m.depth > 0 || m.at != inText }

// space is the name space of the top-level element as far as its name tells: that of
// stanzas is the default one of a stream (RFC 6120 section 4.8.3).
func (m *markup) space() string {
	if isStanza(string(m.name)) {
		return gstanza.NSClient
	}
	return ""
}
