// Package xmltree holds a piece of XML as a tree of elements.
//
// The elements that peers put into stanzas differ too much between clients to
// be read through struct tags; the protocol packages walk this tree instead and
// take what they know. Reading is bounded and refuses what RFC 6120 section
// 11.1 forbids (comments, processing instructions, document types); writing
// escapes everything and never emits a prefix.
package xmltree

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of a parsed tree: deeper than any known
// protocol, shallow enough that recursion over it is harmless.
const MaxDepth = 128

// The two name spaces that no element is in and nobody may declare (Namespaces in XML
// 1.0, section 3). The first is that of xml:lang.
const (
	xmlNS   = "http://www.w3.org/XML/1998/namespace"
	xmlnsNS = "http://www.w3.org/2000/xmlns/"
)

// ErrRestricted is returned for XML that RFC 6120 section 11.1 forbids.
var ErrRestricted = errors.New("restricted xml")

// ErrDepth is returned for elements nested deeper than [MaxDepth].
var ErrDepth = errors.New("xml nested too deep")

// ErrName is returned for names that are none, see [CheckNames].
var ErrName = errors.New("bad xml name")

// Element is an element with its un-prefixed attributes, its children and its
// text. Text is all direct character data joined; its place among the children
// is not kept, which no protocol here needs.
type Element struct {
	Name     xml.Name
	Attrs    []xml.Attr
	Children []*Element
	Text     string
}

// New makes an element. Nil children are left out.
func New(space, local string, children ...*Element) *Element {
	e := &Element{Name: xml.Name{Space: space, Local: local}}
	return e.Add(children...)
}

// Add appends children, leaving out nil ones, and returns e.
func (e *Element) Add(children ...*Element) *Element {
	for _, c := range children {
		if c != nil {
			e.Children = append(e.Children, c)
		}
	}
	return e
}

// Set sets an un-namespaced attribute and returns e.
func (e *Element) Set(name, value string) *Element {
	for i := range e.Attrs {
		if e.Attrs[i].Name == (xml.Name{Local: name}) {
			e.Attrs[i].Value = value
			return e
		}
	}
	e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Local: name}, Value: value})
	return e
}

// SetText sets the text and returns e.
func (e *Element) SetText(s string) *Element {
	e.Text = s
	return e
}

// Attr returns the value of an un-namespaced attribute, or "". A nil e has none.
func (e *Element) Attr(name string) string {
	v, _ := e.LookupAttr(name)
	return v
}

// LookupAttr returns the value of an un-namespaced attribute and whether it is there.
func (e *Element) LookupAttr(name string) (string, bool) {
	if e == nil {
		return "", false
	}
	for _, a := range e.Attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// Is reports whether e has that name. A nil e has none.
func (e *Element) Is(space, local string) bool {
	return e != nil && e.Name.Space == space && e.Name.Local == local
}

// Child returns the first child of that name, or nil. An empty space means any.
func (e *Element) Child(space, local string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Name.Local == local && (space == "" || c.Name.Space == space) {
			return c
		}
	}
	return nil
}

// All returns all children of that name. An empty space means any.
func (e *Element) All(space, local string) []*Element {
	if e == nil {
		return nil
	}
	var out []*Element
	for _, c := range e.Children {
		if c.Name.Local == local && (space == "" || c.Name.Space == space) {
			out = append(out, c)
		}
	}
	return out
}

// ChildText returns the trimmed text of the first such child, or "".
func (e *Element) ChildText(space, local string) string {
	c := e.Child(space, local)
	if c == nil {
		return ""
	}
	return strings.TrimSpace(c.Text)
}

// Clone returns a deep copy.
func (e *Element) Clone() *Element {
	if e == nil {
		return nil
	}
	c := &Element{Name: e.Name, Attrs: append([]xml.Attr(nil), e.Attrs...), Text: e.Text}
	for _, k := range e.Children {
		c.Children = append(c.Children, k.Clone())
	}
	return c
}

// What an element and an attribute take of memory beside their text, bytes.
const (
	elementCost   = 128
	attributeCost = 48
)

// Weight is about the memory that e takes, in bytes: much more than the XML does
// where that is many short elements. A nil e has none.
func (e *Element) Weight() int { return e.weight("") }

// weight does not count a name space that is in force already: the string is shared.
func (e *Element) weight(parent string) int {
	if e == nil {
		return 0
	}
	n := elementCost + len(e.Name.Local) + len(e.Text)
	if e.Name.Space != parent {
		n += len(e.Name.Space)
	}
	for _, a := range e.Attrs {
		n += attributeCost + len(a.Name.Local) + len(a.Value)
	}
	for _, c := range e.Children {
		n += c.weight(e.Name.Space)
	}
	return n
}

// Parse reads exactly one element.
func Parse(b []byte) (*Element, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var root *Element
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && root != nil {
			return root, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse xml: %w", err)
		}
		start, is := t.(xml.StartElement)
		if !is {
			if err := onlySpace(t); err != nil {
				return nil, err
			}
			continue
		}
		if root != nil {
			return nil, errors.New("parse xml: more than one element")
		}
		if root, err = Decode(d, start); err != nil {
			return nil, err
		}
	}
}

// onlySpace refuses what must not stand beside an element.
func onlySpace(t xml.Token) error {
	text, is := t.(xml.CharData)
	switch {
	case !is:
		return ErrRestricted
	case len(bytes.TrimSpace(text)) > 0:
		return errors.New("parse xml: text outside the element")
	}
	return nil
}

// CheckNames returns [ErrName] for a start tag whose names are none of Namespaces in
// XML 1.0, section 4, although encoding/xml takes them: it looks at a name before it
// parts it at the colon. Written again they would not be XML, nor would an element of
// a reserved name space, which a strict parser takes where it is prefixed <xml:a/>.
func CheckNames(start xml.StartElement) error {
	if !isNCName(start.Name.Local) || start.Name.Space == xmlNS || start.Name.Space == xmlnsNS {
		return ErrName
	}
	for _, a := range start.Attr {
		if a.Name.Space == "" && strings.Contains(a.Name.Local, ":") {
			return ErrName
		}
	}
	return nil
}

// isNCName reports whether the local part of a name that encoding/xml has read can stand
// by itself.
func isNCName(local string) bool {
	if local == "" || strings.Contains(local, ":") {
		return false
	}
	if c := local[0]; c < utf8.RuneSelf {
		return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	_, err := xml.NewDecoder(strings.NewReader("<" + local + "/>")).Token()
	return err == nil
}

// Decode reads the rest of the element that start began.
func Decode(d *xml.Decoder, start xml.StartElement) (*Element, error) {
	return decode(d, start, 1)
}

// Start returns the element that a start tag begins, without its content: for
// readers that walk the tokens themselves. Namespace declarations and
// namespaced attributes other than xml:lang are left out.
func Start(start xml.StartElement) *Element {
	e := &Element{Name: start.Name}
	if e.Name.Local == "xmlns" {
		e.Name.Space = "" // encoding/xml does not tell it for this one, unless it is prefixed
	}
	for _, a := range start.Attr {
		switch {
		case a.Name.Space == "xmlns", a.Name == (xml.Name{Local: "xmlns"}):
		case a.Name.Space == "":
			e.Attrs = append(e.Attrs, a)
		case a.Name == (xml.Name{Space: xmlNS, Local: "lang"}):
			e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Space: "xml", Local: "lang"}, Value: a.Value})
		}
	}
	return e
}

func decode(d *xml.Decoder, start xml.StartElement, depth int) (*Element, error) {
	if depth > MaxDepth {
		return nil, ErrDepth
	}
	if err := CheckNames(start); err != nil {
		return nil, err
	}
	e := Start(start)
	var text strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("parse xml: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			c, err := decode(d, t, depth+1)
			if err != nil {
				return nil, err
			}
			e.Children = append(e.Children, c)
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			e.Text = text.String()
			return e, nil
		default:
			return nil, ErrRestricted
		}
	}
}

// Bytes returns e as XML that declares its own name space.
func (e *Element) Bytes() []byte { return e.Append(nil, "") }

// String returns e as XML.
func (e *Element) String() string { return string(e.Bytes()) }

// Append appends e as XML. Name spaces are declared where they differ from
// that of the parent; parent is the one already in force.
func (e *Element) Append(b []byte, parent string) []byte {
	b = append(b, '<')
	b = append(b, e.Name.Local...)
	if e.Name.Space != parent {
		b = append(b, ` xmlns='`...)
		b = AppendEscaped(b, e.Name.Space)
		b = append(b, '\'')
	}
	for _, a := range e.Attrs {
		switch a.Name.Space {
		case "":
			b = append(b, ' ')
		case "xml":
			b = append(b, ` xml:`...)
		default:
			continue
		}
		b = append(b, a.Name.Local...)
		b = append(b, `='`...)
		b = AppendEscaped(b, a.Value)
		b = append(b, '\'')
	}
	if e.Text == "" && len(e.Children) == 0 {
		return append(b, `/>`...)
	}
	b = append(b, '>')
	b = AppendEscaped(b, e.Text)
	for _, c := range e.Children {
		b = c.Append(b, e.Name.Space)
	}
	b = append(b, `</`...)
	b = append(b, e.Name.Local...)
	return append(b, '>')
}

// Canonical returns e in a form that does not change when a server reads and
// writes it again: attributes sorted, indentation dropped. Two elements that
// mean the same have the same form; it is what gets hashed.
func (e *Element) Canonical() []byte {
	c := e.Clone()
	c.canonicalise()
	return c.Bytes()
}

func (e *Element) canonicalise() {
	slices.SortFunc(e.Attrs, func(a, b xml.Attr) int {
		return cmp.Or(cmp.Compare(a.Name.Space, b.Name.Space), cmp.Compare(a.Name.Local, b.Name.Local))
	})
	if len(e.Children) > 0 && strings.TrimSpace(e.Text) == "" {
		e.Text = ""
	}
	for _, c := range e.Children {
		c.canonicalise()
	}
}

// AppendEscaped appends s escaped for text and attribute values. Characters
// that XML cannot hold become U+FFFD, as encoding/xml does it.
func AppendEscaped(b []byte, s string) []byte {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0xFFFD || strings.ContainsRune(`&<>'"`, r)
	}) {
		return append(b, s...)
	}
	var buf bytes.Buffer
	_ = xml.EscapeText(&buf, []byte(s)) // a bytes.Buffer does not fail
	return append(b, buf.Bytes()...)
}

// MarshalXML implements xml.Marshaler, for use inside marshalled stanzas.
func (e *Element) MarshalXML(enc *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{Name: e.Name}
	for _, a := range e.Attrs {
		if a.Name.Space == "" {
			start.Attr = append(start.Attr, a)
		}
	}
	if err := enc.EncodeToken(start); err != nil {
		return err
	}
	if e.Text != "" {
		if err := enc.EncodeToken(xml.CharData(e.Text)); err != nil {
			return err
		}
	}
	for _, c := range e.Children {
		if err := c.MarshalXML(enc, xml.StartElement{}); err != nil {
			return err
		}
	}
	return enc.EncodeToken(start.End())
}

// UnmarshalXML implements xml.Unmarshaler.
func (e *Element) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	x, err := Decode(d, start)
	if err != nil {
		return err
	}
	*e = *x
	return nil
}
