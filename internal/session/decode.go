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
	errHardLimit  = errors.New("the server sends without end and no stanza")
)

// What makes a stanza to be skipped.
var (
	errDepth     = fmt.Errorf("nested too deep: %w", ErrStanzaTooBig)
	errElements  = fmt.Errorf("too many elements: %w", ErrStanzaTooBig)
	errAttrs     = fmt.Errorf("too many attributes: %w", ErrStanzaTooBig)
	errAmbiguous = errors.New("ambiguous attributes")
)

// source gives the XML decoder one byte at a time, at most maxStanza of them for each
// top-level element. Because it is an io.ByteReader the decoder reads nothing ahead,
// so a stream can be restarted on the same connection.
type source struct {
	r      *bufio.Reader
	used   int
	limit  int    // for the element of the moment
	head   []byte // the stream header, as it was read
	opened bool   // head is whole
	replay []byte // of head, to be given before anything else
	markup markup // what is after head
}

// ReadByte implements io.ByteReader.
func (s *source) ReadByte() (byte, error) {
	if len(s.replay) > 0 {
		b := s.replay[0]
		s.replay = s.replay[1:]
		return b, nil
	}
	if s.used >= s.limit {
		return 0, errHardLimit
	}
	s.used++
	return s.step()
}

// step reads a byte without a limit.
func (s *source) step() (byte, error) {
	b, err := s.r.ReadByte()
	switch {
	case err != nil:
		return 0, err
	case s.opened:
		return b, s.markup.next(b)
	}
	s.head = append(s.head, b)
	return b, nil
}

// Read implements io.Reader, for the sake of xml.NewDecoder's argument only.
func (s *source) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// decoder cuts a stream into its top-level elements.
type decoder struct {
	src *source
	xml *xml.Decoder
	// roster reports whether an iq of that id answers our request for the roster, which
	// may be longer than anything else; nil: none does.
	roster func(id string) bool
}

func newDecoder(r *bufio.Reader) *decoder {
	src := &source{r: r, limit: maxStanza}
	return &decoder{src: src, xml: xml.NewDecoder(src)}
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
	for {
		t, err := d.xml.Token()
		if err != nil {
			return nil, streamEnd(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			d.src.opened = true
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
		d.src.used, d.src.limit = 0, maxStanza
		t, err := d.xml.Token()
		if errors.Is(err, errHardLimit) && d.src.markup.inside() {
			f, err := d.nameOnly()
			return f, streamEnd(err)
		}
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

// nameOnly skips an element whose start tag alone is beyond the limit.
func (d *decoder) nameOnly() (frame, error) {
	m := &d.src.markup
	el := xmltree.New(m.space(), string(m.name))
	return frame{el: el, bad: ErrStanzaTooBig, weight: el.Weight()}, d.skip()
}

// skip reads to the end of the top-level element, however far that is: a server may
// make of a short stanza a very long one, by declaring a long name space for each of
// many elements, and sends a request for subscription again at every login. The XML
// decoder, which may be anywhere in that element, is replaced by one that has read
// the stream header alone.
func (d *decoder) skip() error {
	for d.src.markup.inside() {
		if _, err := d.src.step(); err != nil {
			return err
		}
	}
	d.src.replay = d.src.head
	d.xml = xml.NewDecoder(d.src)
	for {
		t, err := d.xml.Token()
		if _, ok := t.(xml.StartElement); ok || err != nil {
			return err
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
	roster   bool // the answer to our request for it
	contacts int
	groups   int // of the contacts
}

// element reads the rest of the element that start began.
func (d *decoder) element(start xml.StartElement) (frame, error) {
	b := builder{f: frame{el: xmltree.Start(start)}}
	if d.roster != nil && start.Name.Local == "iq" && b.f.el.Attr("type") == typeResult && d.roster(b.f.el.Attr("id")) {
		b.roster, d.src.limit = true, maxRoster
	}
	b.start(start, b.f.el)
	for len(b.open) > 0 {
		t, err := d.xml.Token()
		if errors.Is(err, errHardLimit) {
			b.drop(ErrStanzaTooBig)
			break
		}
		if err != nil {
			return frame{}, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			b.start(t, xmltree.Start(t))
		case xml.EndElement:
			b.end()
		case xml.CharData:
			top := len(b.text) - 1
			b.text[top] = append(b.text[top], t...)
		default:
			return frame{}, errRestricted
		}
	}
	if b.f.bad != nil {
		b.f.weight = b.f.el.Weight()
		return b.f, d.skip()
	}
	b.f.weight = elementCost*(b.elements+b.contacts+b.groups) + d.src.used
	return b.f, nil
}

func (b *builder) start(t xml.StartElement, el *xmltree.Element) {
	b.elements++
	switch {
	case len(b.open) >= xmltree.MaxDepth:
		b.drop(errDepth)
		return
	case b.elements > maxElements, b.groups > maxGroups, b.roster && len(b.open) == contactDepth && b.contacts == maxContacts:
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
	if b.roster && top == contactDepth {
		b.contact(b.open[top])
	}
	b.open, b.text = b.open[:top], b.text[:top]
}

// contactDepth is how deep the contacts of a roster are: in the query in the iq.
const contactDepth = 2

// contact keeps of a contact what it says about itself, and its groups, which are sent
// back whenever it is changed: so that a long list is bounded by its contacts and their
// groups rather than by its elements.
func (b *builder) contact(el *xmltree.Element) {
	groups := el.All(nsRoster, "group")
	for _, g := range groups {
		g.Attrs, g.Children = nil, nil
	}
	el.Children, el.Text = groups, ""
	b.contacts++
	b.groups += len(groups)
	b.elements = contactDepth
}

// drop gives up all of the stanza but its start tag.
func (b *builder) drop(why error) {
	b.f.bad = why
	b.f.el = &xmltree.Element{Name: b.f.el.Name, Attrs: b.f.el.Attrs}
	b.open, b.text = nil, nil
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
