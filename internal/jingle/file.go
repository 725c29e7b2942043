package jingle

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"jetsend/internal/xmltree"
)

// maxName bounds the peer's name of a file, in bytes: it is kept with the transfer.
// No system has longer ones, paths included.
const maxName = 4096

// File is the <file/> of XEP-0234 section 5.
type File struct {
	Name        string // the peer's: neither clean nor safe as a path
	Description string
	MediaType   string
	Size        int64     // bytes, -1 when absent
	Date        time.Time // last modified; zero when absent
	Range       *Range
	Hashes      []Hash   // computed ones
	HashUsed    []string // algorithms whose value comes later

	Extra []*xmltree.Element // all other children
}

// Range is the part of a file that is transferred (XEP-0234 section 6.4).
type Range struct {
	Offset int64 // first byte
	Length int64 // bytes, -1 for all up to the end
	Hashes []Hash
}

// Element returns the <file/>, its children in the order of the examples of
// XEP-0234.
func (f *File) Element() *xmltree.Element {
	text := func(local, value string) *xmltree.Element {
		if value == "" {
			return nil
		}
		return xmltree.New(NSFile, local).SetText(value)
	}
	e := xmltree.New(NSFile, "file")
	if !f.Date.IsZero() {
		e.Add(text("date", f.Date.UTC().Format(time.RFC3339Nano)))
	}
	desc := text("desc", f.Description)
	if desc == nil && f.Name != "" { // Libervia fails on an offer by name without it
		desc = xmltree.New(NSFile, "desc")
	}
	e.Add(desc, text("media-type", f.MediaType), text("name", f.Name))
	if f.Range != nil {
		e.Add(f.Range.element())
	}
	if f.Size >= 0 {
		e.Add(text("size", strconv.FormatInt(f.Size, 10)))
	}
	for _, h := range f.Hashes {
		e.Add(h.Element())
	}
	for _, a := range f.HashUsed {
		e.Add(xmltree.New(NSHashes, "hash-used").Set("algo", a))
	}
	return e.Add(f.Extra...)
}

func (r *Range) element() *xmltree.Element {
	e := xmltree.New(NSFile, "range")
	if r.Offset > 0 {
		e.Set("offset", strconv.FormatInt(r.Offset, 10))
	}
	if r.Length >= 0 {
		e.Set("length", strconv.FormatInt(r.Length, 10))
	}
	for _, h := range r.Hashes {
		e.Add(h.Element())
	}
	return e
}

// Description returns the <description/> that holds f.
func Description(f *File) *xmltree.Element {
	return xmltree.New(NSFile, "description", f.Element())
}

// ParseDescription reads a <description/> of XEP-0234. It takes what live
// clients write (<mediaType/> for <media-type/>, an empty <hash/> for
// <hash-used/>) and skips what it cannot read, but never misreads a number:
// sizes and ranges that are not plain decimal bytes are malformed.
func ParseDescription(e *xmltree.Element) (*File, error) {
	if !e.Is(NSFile, "description") {
		return nil, fmt.Errorf("file description: %w", ErrMalformed)
	}
	files := e.All("", "file")
	if len(files) != 1 {
		return nil, fmt.Errorf("file description with %d files: %w", len(files), ErrMalformed)
	}
	return ParseFile(files[0])
}

// ParseFile reads a <file/>; see [ParseDescription]. Of elements that occur
// more than once the first counts, a second size or range is malformed.
func ParseFile(e *xmltree.Element) (*File, error) {
	if e == nil || e.Name.Local != "file" {
		return nil, fmt.Errorf("file: %w", ErrMalformed)
	}
	f := &File{Size: -1}
	for _, c := range e.Children {
		if err := f.parseChild(c); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// uses notes that a hash of that algorithm follows; "" is none.
func (f *File) uses(algo string) {
	if algo != "" {
		f.HashUsed = append(f.HashUsed, algo)
	}
}

func (f *File) parseChild(c *xmltree.Element) error {
	text := strings.TrimSpace(c.Text)
	switch c.Name.Local {
	case "name":
		first(&f.Name, clip(c.Text, maxName)) // a name may begin or end with a space
	case "desc":
		first(&f.Description, text)
	case "media-type", "mediaType":
		first(&f.MediaType, text)
	case "date":
		if t, err := time.Parse(time.RFC3339, text); err == nil && f.Date.IsZero() {
			f.Date = t
		}
	case "size":
		n, err := bytesOf(text)
		if err != nil || f.Size >= 0 {
			return fmt.Errorf("file size: %w", ErrMalformed)
		}
		f.Size = n
	case "range":
		if f.Range != nil {
			return fmt.Errorf("file range: %w", ErrMalformed)
		}
		r, err := parseRange(c)
		if err != nil {
			return err
		}
		f.Range = r
	case "hash":
		if h, ok := parseHash(c); ok {
			f.Hashes = append(f.Hashes, h)
		} else if text == "" {
			f.uses(c.Attr("algo"))
		}
	case "hash-used":
		f.uses(c.Attr("algo"))
	default:
		f.Extra = append(f.Extra, c)
	}
	return nil
}

func parseRange(e *xmltree.Element) (*Range, error) {
	r := &Range{Length: -1}
	for name, slot := range map[string]*int64{"offset": &r.Offset, "length": &r.Length} {
		v, ok := e.LookupAttr(name)
		if !ok {
			continue
		}
		n, err := bytesOf(v)
		if err != nil {
			return nil, fmt.Errorf("range %s: %w", name, ErrMalformed)
		}
		*slot = n
	}
	for _, c := range e.All("", "hash") {
		if h, ok := parseHash(c); ok {
			r.Hashes = append(r.Hashes, h)
		}
	}
	return r, nil
}

// bytesOf reads a number of bytes: decimal digits only, within an int64.
func bytesOf(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// first sets *slot to s unless it is set already.
func first(slot *string, s string) {
	if *slot == "" {
		*slot = s
	}
}
