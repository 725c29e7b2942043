package session

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"jetsend/internal/xmltree"
)

// What ends a stream while decoding (RFC 6120 sections 4.9.3 and 11).
var (
	errRestricted = errors.New("the server sent restricted xml")
	errStrayText  = errors.New("the server sent text between stanzas")
	errHardLimit  = errors.New("the server sent an endless stanza")
)

// What makes a stanza to be skipped.
var (
	errDepth     = fmt.Errorf("nested too deep: %w", ErrStanzaTooBig)
	errElements  = fmt.Errorf("too many elements: %w", ErrStanzaTooBig)
	errAttrs     = fmt.Errorf("too many attributes: %w", ErrStanzaTooBig)
	errAmbiguous = errors.New("ambiguous attributes")
)

// byteLimiter gives the XML decoder one byte at a time, at most hardStanza of
// them for each top-level element. Because it is an io.ByteReader the decoder
// reads nothing ahead, so a stream can be restarted on the same connection.
type byteLimiter struct {
	r    *bufio.Reader
	used int
}

// ReadByte implements io.ByteReader.
func (l *byteLimiter) ReadByte() (byte, error) {
	if l.used >= hardStanza {
		return 0, errHardLimit
	}
	l.used++
	return l.r.ReadByte()
}

// Read implements io.Reader, for the sake of xml.NewDecoder's argument only.
func (l *byteLimiter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := l.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// decoder cuts a stream into its top-level elements.
type decoder struct {
	lim *byteLimiter
	xml *xml.Decoder
}

func newDecoder(r *bufio.Reader) *decoder {
	lim := &byteLimiter{r: r}
	return &decoder{lim: lim, xml: xml.NewDecoder(lim)}
}

// frame is one top-level element of a stream.
type frame struct {
	// el is the whole element or, when bad is set, its start tag alone.
	el *xmltree.Element
	// bad says why the content was skipped.
	bad error
	// weight is about the memory that el takes, bytes.
	weight int
}

// open reads the stream header (RFC 6120 section 4.2) and returns its start tag.
func (d *decoder) open() (*xmltree.Element, error) {
	d.lim.used = 0
	for {
		t, err := d.xml.Token()
		if err != nil {
			return nil, streamEnd(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			return xmltree.Start(t), nil
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, errRestricted
			}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, errStrayText
			}
		default:
			return nil, errRestricted
		}
	}
}

// next returns the next top-level element. An error means that the stream has
// ended; what a peer can put into a stanza never is one.
func (d *decoder) next() (frame, error) {
	for {
		d.lim.used = 0
		t, err := d.xml.Token()
		if err != nil {
			return frame{}, streamEnd(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			f, err := d.element(t)
			return f, streamEnd(err)
		case xml.EndElement:
			return frame{}, ErrStreamEnd
		case xml.CharData: // keepalives
			if len(bytes.TrimSpace(t)) > 0 {
				return frame{}, errStrayText
			}
		default:
			return frame{}, errRestricted
		}
	}
}

// streamEnd puts the end of input into words.
func streamEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("connection closed by the server: %w", io.ErrUnexpectedEOF)
	}
	var se *xml.SyntaxError
	if errors.As(err, &se) && se.Msg == "unexpected EOF" {
		return fmt.Errorf("connection closed by the server: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// builder grows the tree of one stanza, until a limit is exceeded.
type builder struct {
	f        frame
	open     []*xmltree.Element
	text     [][]byte
	elements int
}

// element reads the rest of the element that start began.
func (d *decoder) element(start xml.StartElement) (frame, error) {
	b := builder{f: frame{el: xmltree.Start(start)}}
	b.start(start, b.f.el)
	for depth := 1; depth > 0; {
		t, err := d.xml.Token()
		if err != nil {
			return frame{}, err
		}
		if d.lim.used > maxStanza {
			b.drop(ErrStanzaTooBig)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth++; depth > hardDepth {
				return frame{}, errHardLimit
			}
			if b.f.bad == nil {
				b.start(t, xmltree.Start(t))
			}
		case xml.EndElement:
			depth--
			if b.f.bad == nil {
				b.end()
			}
		case xml.CharData:
			if b.f.bad == nil {
				top := len(b.text) - 1
				b.text[top] = append(b.text[top], t...)
			}
		default:
			return frame{}, errRestricted
		}
	}
	b.f.weight = elementCost * b.elements
	if b.f.bad == nil {
		b.f.weight += d.lim.used
	}
	return b.f, nil
}

func (b *builder) start(t xml.StartElement, el *xmltree.Element) {
	b.elements++
	switch {
	case len(b.open) >= xmltree.MaxDepth:
		b.drop(errDepth)
		return
	case b.elements > maxElements:
		b.drop(errElements)
		return
	}
	err := checkAttrs(t.Attr)
	if err == nil {
		err = xmltree.CheckNames(t)
	}
	if err != nil {
		if len(b.open) == 0 {
			b.f.el.Attrs = nil // nobody can tell who sent this
		}
		b.drop(err)
		return
	}
	if len(b.open) > 0 {
		b.open[len(b.open)-1].Add(el)
	}
	b.open = append(b.open, el)
	b.text = append(b.text, nil)
}

func (b *builder) end() {
	top := len(b.open) - 1
	b.open[top].Text = string(b.text[top])
	b.open, b.text = b.open[:top], b.text[:top]
}

// drop gives up all of the stanza but its start tag.
func (b *builder) drop(why error) {
	if b.f.bad != nil {
		return
	}
	b.f.bad = why
	b.f.el = &xmltree.Element{Name: b.f.el.Name, Attrs: b.f.el.Attrs}
	b.open, b.text, b.elements = nil, nil, 1
}

// checkAttrs refuses what a strict XML parser would have refused but
// encoding/xml lets pass: attributes given twice, and prefixes bound to no
// namespace (an empty xmlns:e), which make e:from look like from.
func checkAttrs(attrs []xml.Attr) error {
	if len(attrs) > maxAttrs {
		return errAttrs
	}
	for i, a := range attrs {
		if a.Name.Space == "xmlns" && a.Value == "" {
			return errAmbiguous
		}
		for _, b := range attrs[:i] {
			if a.Name == b.Name {
				return errAmbiguous
			}
		}
	}
	return nil
}
